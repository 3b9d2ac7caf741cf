package pusher

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/internal/fairqueue"
)

// ErrWebhooksDropped is what the broker's Shutdown returns, with their number,
// when webhook events could not be delivered before its context ended.
var ErrWebhooksDropped = errors.New("webhook events were dropped at shutdown")

// WebhookStats counts webhook events since the handler was made. An event that
// goes to several webhooks counts once for each.
type WebhookStats struct {
	// Delivered is how many events a receiver has taken.
	Delivered int64
	// Retried is how many times an event was sent again.
	Retried int64
	// Dropped is how many events were given up: because the receiver did not take them
	// within 5 minutes, because too many of one kind were waiting for it, or because
	// the broker was shut down. The present state of channels and members for which
	// there is no room is sent later; what began and ended in between counts as
	// dropped.
	Dropped int64
	// Pending is how many events are held back, queued or to be sent again now.
	Pending int64
}

func (w *webhooks) stats() WebhookStats {
	stats := w.sender.stats()
	stats.Pending += int64(w.hold.size())
	return stats
}

// webhooks tells the receivers that apps name of what happens on their channels.
type webhooks struct {
	apps   *webhookApps
	hold   *webhookHold
	sender *webhookSender
}

func newWebhooks(h *Handler, client *http.Client) *webhooks {
	w := &webhooks{sender: newWebhookSender(h.broker, h.log, client)}
	w.apps = newWebhookApps(h.apps, h.log, w.sender.background)
	w.hold = newWebhookHold(func(e heldEvent) { w.emit(e.app, e.event) })
	h.broker.AddHooks(w.hooks())
	return w
}

// webhookEvent is one event as receivers get it.
type webhookEvent struct {
	Name              string  `json:"name"`
	Channel           string  `json:"channel"`
	Event             string  `json:"event,omitempty"`
	Data              *string `json:"data,omitempty"`
	SocketID          string  `json:"socket_id,omitempty"`
	UserID            string  `json:"user_id,omitempty"`
	SubscriptionCount *int    `json:"subscription_count,omitempty"`

	// time is when it happened.
	time time.Time
}

// hooks are what the broker tells; it calls them one at a time.
func (w *webhooks) hooks() broker.Hooks {
	return broker.Hooks{
		Wants: w.apps.wants,
		ChannelOccupied: func(_ context.Context, c broker.ChannelChange) {
			w.appeared(holdKey{app: c.App, channel: c.Channel},
				webhookEvent{Name: WebhookChannelOccupied, Channel: c.Channel, time: c.Time})
		},
		ChannelVacated: func(_ context.Context, c broker.ChannelChange) {
			w.vanished(holdKey{app: c.App, channel: c.Channel},
				webhookEvent{Name: WebhookChannelVacated, Channel: c.Channel, time: c.Time})
		},
		MemberJoined: func(_ context.Context, c broker.MemberChange) {
			w.appeared(holdKey{c.App, c.Channel, c.Member.UserID},
				webhookEvent{Name: WebhookMemberAdded, Channel: c.Channel, UserID: c.Member.UserID, time: c.Time})
		},
		MemberLeft: func(_ context.Context, c broker.MemberChange) {
			w.vanished(holdKey{c.App, c.Channel, c.Member.UserID},
				webhookEvent{Name: WebhookMemberRemoved, Channel: c.Channel, UserID: c.Member.UserID, time: c.Time})
		},
		SubscriptionCount: func(_ context.Context, c broker.ChannelChange) {
			w.happened(c.App, webhookEvent{Name: WebhookSubscriptionCount, Channel: c.Channel,
				SubscriptionCount: &c.SubscriptionCount, time: c.Time})
		},
		CacheMissed: func(_ context.Context, c broker.ChannelChange) {
			w.happened(c.App, webhookEvent{Name: WebhookCacheMiss, Channel: c.Channel, time: c.Time})
		},
		ClientEventSent: func(_ context.Context, c broker.EventChange) {
			ev := &c.Event
			data := string(ev.Data)
			w.happened(c.App, webhookEvent{Name: WebhookClientEvent, Channel: ev.Channel, Event: ev.Name,
				Data: &data, SocketID: ev.SocketID, UserID: ev.UserID, time: ev.Time})
		},
	}
}

// appeared reports that something has begun, unless its end has not been reported yet.
func (w *webhooks) appeared(key holdKey, ev webhookEvent) {
	if !w.hold.cancel(key) {
		w.happened(key.app, ev)
	}
}

// vanished tells that something has gone, if it does not come back soon.
func (w *webhooks) vanished(key holdKey, ev webhookEvent) {
	if app := w.app(key.app); app != nil {
		w.hold.add(heldEvent{key: key, app: app, event: ev})
	}
}

func (w *webhooks) happened(appID string, ev webhookEvent) {
	if app := w.app(appID); app != nil {
		w.emit(app, ev)
	}
}

// app returns the app, or nil if it has no webhooks.
func (w *webhooks) app(id string) *App {
	app, err := w.apps.find(w.sender.ctx, id)
	if err != nil {
		w.sender.drop(id, "", 1, err)
	}
	return app
}

// webhookKinds says how events wait for a receiver.
var webhookKinds = map[string]struct {
	class  int
	change fairqueue.Change
}{
	WebhookChannelOccupied:   {ofChannels, fairqueue.Appears},
	WebhookChannelVacated:    {ofChannels, fairqueue.Vanishes},
	WebhookMemberAdded:       {ofMembers, fairqueue.Appears},
	WebhookMemberRemoved:     {ofMembers, fairqueue.Vanishes},
	WebhookSubscriptionCount: {ofCounts, fairqueue.Happens},
	WebhookCacheMiss:         {ofMisses, fairqueue.Happens},
	WebhookClientEvent:       {ofClientEvents, fairqueue.Happens},
}

// emit queues the event for each webhook of the app that wants it.
func (w *webhooks) emit(app *App, ev webhookEvent) {
	var encoded []byte
	kind := webhookKinds[ev.Name]
	key := holdKey{app.ID, ev.Channel, ev.UserID}
	for i := range app.Webhooks {
		if !app.Webhooks[i].wants(ev.Name, ev.Channel) {
			continue
		}
		if encoded == nil {
			encoded, _ = json.Marshal(ev) // strings and a number cannot fail
		}
		w.sender.enqueue(app, i, queuedItem{Class: kind.class, Change: kind.change, Key: key, Size: len(encoded),
			Value: queuedEvent{encoded: encoded, channel: ev.Channel, time: ev.time}})
	}
}

// wants reports whether the receiver is to hear of an event on the channel.
func (w *Webhook) wants(name, channel string) bool {
	return (len(w.Events) == 0 || slices.Contains(w.Events, name)) && strings.HasPrefix(channel, w.ChannelPrefix)
}

// delivery is one request. It is used by one goroutine at a time.
type delivery struct {
	app       *App
	hook      *Webhook
	events    []queuedItem
	holds     bool   // its channels are held, since it has failed
	id        string // for observers
	body      []byte
	signature string
	retries   int
	lastTry   time.Time
}

// encode makes the request, which stays the same however often it is sent.
func (d *delivery) encode() {
	at, size := d.events[0].Value.time, 64
	if d.hook.Batch {
		at = time.Now()
	}
	for _, ev := range d.events {
		size += ev.Size + 1
	}
	b := make([]byte, 0, size)
	b = append(b, `{"time_ms":`...)
	b = strconv.AppendInt(b, at.UnixMilli(), 10)
	b = append(b, `,"events":[`...)
	for i, ev := range d.events {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, ev.Value.encoded...)
	}
	d.sign(append(b, "]}"...))
}

// sign makes the request one with a body.
func (d *delivery) sign(body []byte) {
	d.body, d.signature = body, signWebhook(d.app.Secret, body)
	d.id = strconv.FormatUint(rand.Uint64(), 36)
}

// request makes the HTTP request. The receiver's own headers replace none of the protocol's.
func (d *delivery) request(ctx context.Context) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.hook.URL, bytes.NewReader(d.body))
	if err != nil {
		return nil, err
	}
	for name, value := range d.hook.Headers {
		req.Header.Set(name, value)
		if strings.EqualFold(name, "Host") {
			req.Host = value
		}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Pusher-Key", d.app.Key)
	req.Header.Set("X-Pusher-Signature", d.signature)
	return req, nil
}

// shutdown delivers what is held, queued or failed before. What is left when ctx
// ends is dropped.
func (w *webhooks) shutdown(ctx context.Context) error {
	before := w.sender.dropped.Load()
	w.hold.flush()
	w.sender.shutdown(ctx)
	if n := w.sender.dropped.Load() - before; n > 0 {
		return fmt.Errorf("%w: %d", ErrWebhooksDropped, n)
	}
	return nil
}
