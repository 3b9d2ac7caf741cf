package pusher

import (
	"context"
	"encoding/json"
	"net/url"
	"time"

	"github.com/carillon-rt/carillon/broker"
)

// drop counts events that are lost, and tells the broker's observers.
func (s *webhookSender) drop(app, hookURL string, events int, err error) {
	s.dropped.Add(int64(events))
	if s.broker.Observes(app, broker.ObserveWebhookDropped) {
		s.broker.Observe(context.Background(), app,
			broker.WebhookDropped{App: app, URL: shownURL(hookURL), Events: events, Err: err})
	}
}

// observe tells the broker's observers of a request, of which o says how it went.
func (s *webhookSender) observe(d *delivery, o broker.WebhookSent) {
	if s.broker.Observes(d.app.ID, broker.ObserveWebhookSent) {
		o.App, o.ID, o.URL, o.Body, o.Events = d.app.ID, d.id, shownURL(d.hook.URL), d.body, d.count()
		s.broker.Observe(context.Background(), d.app.ID, o)
	}
}

// count is how many events a request has, which are in its body alone if it is sent again
// by hand.
func (d *delivery) count() int {
	if len(d.events) > 0 {
		return len(d.events)
	}
	var body struct {
		Events []json.RawMessage `json:"events"`
	}
	_ = json.Unmarshal(d.body, &body)
	return len(body.Events)
}

// shownURL is a receiver's URL without what may be secret in it.
func shownURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	return shown.String()
}

// ResendWebhook sends a batch of webhooks once more, now and once, and returns what the
// receiver has answered, 0 if it did not. shown and body are those of broker.WebhookSent: the
// first of the app's webhooks with that URL gets it, signed with the app's secret of now,
// with events that are no news to it. The error is a *broker.FieldError where the app has
// no such webhook, the look-up's, or says why the receiver has not taken it. It waits for
// the answer, a few seconds at most, and is safe for concurrent use.
func (h *Handler) ResendWebhook(ctx context.Context, app, shown string, body []byte) (status int, err error) {
	found, err := h.appByID(ctx, app)
	if err != nil {
		return 0, err
	}
	for i := range found.Webhooks {
		hook := &found.Webhooks[i]
		if shownURL(hook.URL) != shown {
			continue
		}
		d := &delivery{app: found, hook: hook}
		d.sign(body)
		began := time.Now()
		status, err = h.webhooks.sender.post(ctx, d)
		h.webhooks.sender.observe(d, broker.WebhookSent{Attempt: 1, Status: status, Took: time.Since(began), Err: err, Final: true, Again: true})
		return status, err
	}
	return 0, &broker.FieldError{Field: "url", Value: shown, Problem: "is of no webhook of the app"}
}
