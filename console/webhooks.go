package console

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/carillon-rt/carillon/broker"
)

// maxAttempts is how many attempts of one delivery are remembered: the first one and the
// latest. There are about ten in the five minutes that a delivery may take.
const maxAttempts = 16

type attempt struct {
	At     int64   `json:"at"`
	Status int     `json:"status,omitempty"`
	TookMs float64 `json:"tookMs"`
	Error  string  `json:"error,omitempty"`
	// Again says that somebody has sent it again, by hand.
	Again bool `json:"again,omitempty"`
}

// States of a delivery.
const (
	stateDelivered = "delivered"
	stateRetrying  = "retrying"
	stateFailed    = "failed"
)

// webhook is one request to a receiver, over all its attempts.
type webhook struct {
	id, app, url string
	body         []byte
	events       int
	state        string
	first, last  int64
	attempts     []attempt
	seq          uint64
}

func (w *webhook) size() int {
	n := len(w.body) + len(w.url) + len(w.id) + 512
	for i := range w.attempts {
		n += len(w.attempts[i].Error)
	}
	return n
}

type webhookTotals struct {
	Delivered int64 `json:"delivered"`
	Retried   int64 `json:"retried"`
	Dropped   int64 `json:"dropped"`
}

// webhooks remembers the latest deliveries.
type webhooks struct {
	mu        sync.Mutex
	all       []*webhook          // guarded by mu: oldest first
	byID      map[string]*webhook // guarded by mu
	bytes     int                 // guarded by mu
	forgotten int64               // guarded by mu
	counts    webhookTotals       // guarded by mu
	last      uint64              // guarded by mu: number of the latest

	most, mostBytes int
}

func (t *webhooks) totals() webhookTotals {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts
}

func (t *webhooks) sent(o *broker.WebhookSent, a attempt) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if o.Err == nil {
		t.counts.Delivered += int64(o.Events)
	}
	if o.Attempt > 1 {
		t.counts.Retried += int64(o.Events)
	}
	w := t.byID[o.ID]
	if o.Again {
		w = t.resent(o)
	}
	if w == nil {
		t.last++
		w = &webhook{id: o.ID, app: o.App, url: o.URL, body: o.Body, events: o.Events, first: a.At, seq: t.last}
		if t.byID == nil {
			t.byID = make(map[string]*webhook)
		}
		t.byID[o.ID] = w
		t.all = append(t.all, w)
	} else {
		t.bytes -= w.size()
	}
	w.add(a)
	t.bytes += w.size()
	for len(t.all) > t.most || t.bytes > t.mostBytes && len(t.all) > 1 {
		old := t.all[0]
		t.all[0] = nil
		t.all = t.all[1:]
		delete(t.byID, old.id)
		t.bytes -= old.size()
		t.forgotten++
	}
	switch {
	case o.Err == nil:
		w.state = stateDelivered
	case o.Again && w.state != "": // is as it was
	case o.Final:
		w.state = stateFailed
	default:
		w.state = stateRetrying
	}
}

// resent is the delivery whose body was sent again; nil if it is not remembered. The caller
// holds mu.
func (t *webhooks) resent(o *broker.WebhookSent) *webhook {
	for _, w := range slices.Backward(t.all) {
		if w.app == o.App && w.url == o.URL && bytes.Equal(w.body, o.Body) {
			return w
		}
	}
	return nil
}

func (w *webhook) add(a attempt) {
	if len(w.attempts) >= maxAttempts {
		w.attempts = slices.Delete(w.attempts, 1, 2)
	}
	w.attempts = append(w.attempts, a)
	w.last = a.At
}

func (c *Console) webhookSent(o *broker.WebhookSent) {
	now := time.Now()
	a := attempt{At: millis(now), Status: o.Status, TookMs: ms(o.Took), Error: errorText(o.Err), Again: o.Again}
	c.webhooks.sent(o, a)
	r := record{facts: facts{at: now, kind: kindWebhook, took: o.Took, code: o.Status, try: o.Attempt, size: len(o.Body)}}
	r.texts[textApp], r.texts[textID], r.texts[textURL], r.texts[textMessage] = o.App, o.ID, o.URL, a.Error
	c.writeCounted(&r)
}

func (c *Console) webhookDropped(o *broker.WebhookDropped) {
	now := time.Now()
	c.webhooks.mu.Lock()
	c.webhooks.counts.Dropped += int64(o.Events)
	c.webhooks.mu.Unlock()
	c.faults.add(now, "webhooks", o.App, "", "dropped: "+errorText(o.Err))
	r := record{facts: facts{at: now, kind: kindWebhook, size: o.Events}}
	r.texts[textApp], r.texts[textURL] = o.App, o.URL
	r.texts[textMessage] = fmt.Sprintf("%d events were dropped: %s", o.Events, errorText(o.Err))
	c.writeCounted(&r)
}

type webhookJSON struct {
	ID        string    `json:"id"`
	App       string    `json:"app"`
	URL       string    `json:"url"`
	Events    []string  `json:"events"`
	Channels  []string  `json:"channels"`
	Size      int       `json:"size"`
	State     string    `json:"state"`
	FirstAt   int64     `json:"firstAt"`
	LastAt    int64     `json:"lastAt"`
	Attempts  []attempt `json:"attempts"`
	Body      *string   `json:"body,omitempty"`
	CanResend bool      `json:"canResend"`
}

// maxWebhookBody is how much of a body is shown.
const maxWebhookBody = 16 << 10

func (c *Console) webhookJSON(w *webhook) webhookJSON {
	out := webhookJSON{ID: w.id, App: w.app, URL: c.shownURL(w.url), Size: len(w.body), State: w.state, FirstAt: w.first, LastAt: w.last,
		Attempts: w.attempts, CanResend: c.canResend(), Events: []string{}, Channels: []string{}}
	var body struct {
		Events []struct{ Name, Channel string }
	}
	if json.Unmarshal(w.body, &body) == nil {
		for _, e := range body.Events {
			if !slices.Contains(out.Events, e.Name) {
				out.Events = append(out.Events, e.Name)
			}
			if !slices.Contains(out.Channels, e.Channel) {
				out.Channels = append(out.Channels, e.Channel)
			}
		}
	}
	out.Body, _ = c.shownData(w.body, maxWebhookBody)
	return out
}

func (c *Console) canResend() bool {
	a := c.attached.Load()
	return a != nil && a.handler != nil && !c.readOnly
}

// list copies the latest deliveries before a number, the latest first.
func (t *webhooks) list(before uint64, limit int, wants func(*webhook) bool) (some []webhook, more bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, w := range slices.Backward(t.all) {
		if w.seq >= before || !wants(w) {
			continue
		}
		if len(some) == limit {
			return some, true
		}
		one := *w
		one.attempts = slices.Clone(w.attempts)
		some = append(some, one)
	}
	return some, false
}

func (c *Console) webhooksOf(k *call) (any, error) {
	limit, err := k.limit()
	if err != nil {
		return nil, err
	}
	before, err := k.number("next", 1<<62, 1, 1<<62)
	if err != nil {
		return nil, err
	}
	app, state := k.query.Get("app"), k.query.Get("state")
	if state != "" && !slices.Contains([]string{stateDelivered, stateFailed, stateRetrying}, state) {
		return nil, invalid("state", "has to be delivered, retrying or failed")
	}
	some, more := c.webhooks.list(uint64(before), limit, func(w *webhook) bool {
		return (app == "" || w.app == app) && (state == "" || w.state == state)
	})
	out := struct {
		Items   []webhookJSON `json:"items"`
		Next    string        `json:"next,omitempty"`
		Stats   webhookTotals `json:"stats"`
		Kept    int           `json:"kept"`
		Dropped int64         `json:"dropped"`
	}{Items: []webhookJSON{}, Stats: c.webhooks.totals()}
	for i := range some {
		out.Items = append(out.Items, c.webhookJSON(&some[i]))
	}
	if more {
		out.Next = fmt.Sprint(some[len(some)-1].seq)
	}
	c.webhooks.mu.Lock()
	out.Kept, out.Dropped = len(c.webhooks.all), c.webhooks.forgotten
	c.webhooks.mu.Unlock()
	return out, nil
}

// resendTime is how long a receiver has to answer what is sent again.
const resendTime = 10 * time.Second

func (c *Console) resend(k *call) (any, error) {
	var named struct {
		ID string `json:"id"`
	}
	if err := k.body(&named); err != nil {
		return nil, err
	}
	if k.handler == nil {
		return nil, &apiError{status: http.StatusNotImplemented, Code: "not_supported", Text: "This console cannot send webhooks."}
	}
	c.webhooks.mu.Lock()
	w := c.webhooks.byID[named.ID]
	var app, url string
	var body []byte
	if w != nil {
		app, url, body = w.app, w.url, w.body
	}
	c.webhooks.mu.Unlock()
	if w == nil {
		return nil, notFound("This webhook is no longer remembered.")
	}
	ctx, cancel := context.WithTimeout(k.r.Context(), resendTime)
	defer cancel()
	began := time.Now()
	status, err := k.handler.ResendWebhook(ctx, app, url, body)
	c.acted(k, "webhook sent again", "app", app, "id", named.ID, "status", status)
	return struct {
		OK     bool    `json:"ok"`
		Status int     `json:"status,omitempty"`
		TookMs float64 `json:"tookMs"`
		Error  string  `json:"error,omitempty"`
	}{err == nil, status, ms(time.Since(began)), errorText(err)}, nil
}
