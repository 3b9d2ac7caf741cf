package pusher

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
)

// gotRequest is a webhook request as a receiver sees it.
type gotRequest struct {
	URL    string
	After  time.Duration // since the receiver was made
	Header http.Header
	Body   string
	TimeMS int64            `json:"time_ms"`
	Events []map[string]any `json:"events"`
	Status int              `json:"-"` // of the answer, once it is given
}

// names are the events of a request, as "name channel".
func (r gotRequest) names() []string {
	var names []string
	for _, ev := range r.Events {
		names = append(names, ev["name"].(string)+" "+ev["channel"].(string))
	}
	return names
}

// receiver is an http.RoundTripper that takes webhooks, without a network.
type receiver struct {
	// answer is the status, and after what time it comes; nil is 200 at once.
	answer func(gotRequest) (int, time.Duration)
	start  time.Time

	mu  sync.Mutex
	got []gotRequest
}

func newReceiver(answer func(gotRequest) (int, time.Duration)) *receiver {
	return &receiver{answer: answer, start: time.Now()}
}

func (r *receiver) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	got := gotRequest{URL: req.URL.String(), After: time.Since(r.start), Header: req.Header, Body: string(body)}
	if err := json.Unmarshal(body, &got); err != nil {
		return nil, err
	}
	r.mu.Lock()
	index := len(r.got)
	r.got = append(r.got, got)
	r.mu.Unlock()
	status, wait := http.StatusOK, time.Duration(0)
	if r.answer != nil {
		status, wait = r.answer(got)
	}
	select {
	case <-time.After(wait):
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
	r.mu.Lock()
	r.got[index].Status = status
	r.mu.Unlock()
	resp := httptest.NewRecorder()
	resp.Header().Set("Location", "https://elsewhere.example/")
	resp.WriteHeader(status)
	return resp.Result(), nil
}

func (r *receiver) requests() []gotRequest {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]gotRequest(nil), r.got...)
}

// names are the events of all requests, in order.
func (r *receiver) names() []string {
	var names []string
	for _, req := range r.requests() {
		names = append(names, req.names()...)
	}
	return names
}

// accepted are the events of all requests that were answered 200, in order.
func (r *receiver) accepted() []string {
	var names []string
	for _, req := range r.requests() {
		if req.Status == http.StatusOK {
			names = append(names, req.names()...)
		}
	}
	return names
}

// webhookKit is the webhooks of an app "1", without anything else of a handler.
type webhookKit struct {
	*webhooks
	handler *Handler
	tell    broker.Hooks
}

func newWebhookKit(t require.TestingT, transport http.RoundTripper, hooks ...Webhook) *webhookKit {
	apps, err := NewApps(App{ID: "1", Key: "key", Secret: "secret", Webhooks: hooks})
	require.NoError(t, err)
	b, err := broker.New()
	require.NoError(t, err)
	h := &Handler{broker: b, apps: apps, log: slog.New(slog.DiscardHandler)}
	h.webhooks = newWebhooks(h, &http.Client{Transport: transport})
	b.OnShutdown(h.webhooks.shutdown)
	return &webhookKit{webhooks: h.webhooks, handler: h, tell: h.webhooks.hooks()}
}

func (k *webhookKit) occupied(channel string) {
	k.tell.ChannelOccupied(context.Background(), broker.ChannelChange{App: "1", Channel: channel, Time: time.Now()})
}

func (k *webhookKit) vacated(channel string) {
	k.tell.ChannelVacated(context.Background(), broker.ChannelChange{App: "1", Channel: channel, Time: time.Now()})
}

func (k *webhookKit) joined(channel, user string) {
	k.tell.MemberJoined(context.Background(), broker.MemberChange{App: "1", Channel: channel, Member: broker.Member{UserID: user}, Time: time.Now()})
}

func (k *webhookKit) left(channel, user string) {
	k.tell.MemberLeft(context.Background(), broker.MemberChange{App: "1", Channel: channel, Member: broker.Member{UserID: user}, Time: time.Now()})
}

func (k *webhookKit) stats() WebhookStats { return k.handler.webhooks.stats() }

// end shuts the broker down, after which nothing is pending.
func (k *webhookKit) end(t require.TestingT) {
	require.NoError(t, k.handler.broker.Shutdown(context.Background()))
	assert.Zero(t, k.stats().Pending)
}

const hookURL = "https://example.com/hook"

func TestWebhookEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(nil)
		kit := newWebhookKit(t, r, Webhook{URL: hookURL})
		at := time.Now().Add(-time.Second)
		change := broker.ChannelChange{App: "1", Channel: "presence-room", SubscriptionCount: 2, Time: at}
		member := broker.MemberChange{App: "1", Channel: "presence-room", Member: broker.Member{UserID: "7"}, Time: at}

		kit.tell.ChannelOccupied(context.Background(), change)
		kit.tell.MemberJoined(context.Background(), member)
		kit.tell.SubscriptionCount(context.Background(), change)
		kit.tell.CacheMissed(context.Background(), change)
		kit.tell.ClientEventSent(context.Background(), broker.EventChange{App: "1", Event: broker.Event{Name: "client-typing", Channel: "presence-room", Data: []byte(`{"a":1}`), JSON: true, SocketID: "1.2", UserID: "7", Time: at}})
		kit.tell.ClientEventSent(context.Background(), broker.EventChange{App: "1", Event: broker.Event{Name: "client-empty", Channel: "private-room", Data: []byte{}, SocketID: "1.2", Time: at}})
		kit.tell.MemberLeft(context.Background(), member)
		change.SubscriptionCount = 0
		kit.tell.ChannelVacated(context.Background(), change)
		kit.tell.SubscriptionCount(context.Background(), change)
		time.Sleep(holdTime)
		synctest.Wait()

		want := []string{
			`{"name":"channel_occupied","channel":"presence-room"}`,
			`{"name":"member_added","channel":"presence-room","user_id":"7"}`,
			`{"name":"subscription_count","channel":"presence-room","subscription_count":2}`,
			`{"name":"cache_miss","channel":"presence-room"}`,
			`{"name":"client_event","channel":"presence-room","event":"client-typing","data":"{\"a\":1}","socket_id":"1.2","user_id":"7"}`,
			`{"name":"client_event","channel":"private-room","event":"client-empty","data":"","socket_id":"1.2"}`,
			`{"name":"subscription_count","channel":"presence-room","subscription_count":0}`,
			`{"name":"member_removed","channel":"presence-room","user_id":"7"}`,
			`{"name":"channel_vacated","channel":"presence-room"}`,
		}
		got := r.requests()
		require.Len(t, got, len(want), "one event a request")
		for i, req := range got {
			require.Len(t, req.Events, 1)
			ev, err := json.Marshal(req.Events[0])
			require.NoError(t, err)
			assert.JSONEq(t, want[i], string(ev))
			assert.Equal(t, at.UnixMilli(), req.TimeMS)
		}
		assert.Equal(t, WebhookStats{Delivered: int64(len(want))}, kit.stats())
		kit.end(t)
	})
}

func TestWebhookFilter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(nil)
		kit := newWebhookKit(t, r,
			Webhook{URL: "https://a.example/"},
			Webhook{URL: "https://b.example/", Events: []string{WebhookMemberAdded, WebhookCacheMiss}},
			Webhook{URL: "https://c.example/", ChannelPrefix: "presence-x"})
		for _, channel := range []string{"presence-x1", "presence-y"} {
			kit.occupied(channel)
			kit.joined(channel, "7")
		}
		kit.tell.ChannelOccupied(context.Background(), broker.ChannelChange{App: "no such app", Channel: "presence-x1"})
		synctest.Wait()

		got := map[string][]string{}
		for _, req := range r.requests() {
			got[req.URL] = append(got[req.URL], req.names()...)
		}
		assert.Equal(t, map[string][]string{
			"https://a.example/": {"channel_occupied presence-x1", "member_added presence-x1", "channel_occupied presence-y", "member_added presence-y"},
			"https://b.example/": {"member_added presence-x1", "member_added presence-y"},
			"https://c.example/": {"channel_occupied presence-x1", "member_added presence-x1"},
		}, got)
		assert.Equal(t, WebhookStats{Delivered: 8}, kit.stats())
		kit.end(t)
	})
}

func TestWebhookBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(nil)
		kit := newWebhookKit(t, r, Webhook{URL: hookURL, Batch: true})
		for range 3 {
			kit.occupied("few")
			synctest.Wait()
			require.Empty(t, r.requests(), "the batch waits")
			time.Sleep(batchDelay / 3)
		}
		time.Sleep(batchDelay % 3)
		synctest.Wait()
		require.Len(t, r.requests(), 1)
		few := r.requests()[0]
		assert.Len(t, few.Events, 3)
		assert.Equal(t, batchDelay, few.After)
		assert.Equal(t, r.start.Add(batchDelay).UnixMilli(), few.TimeMS)

		for range batchEvents {
			kit.occupied("many")
		}
		synctest.Wait()
		kit.occupied("one more")
		synctest.Wait()
		require.Len(t, r.requests(), 2, "a full batch does not wait")
		assert.Len(t, r.requests()[1].Events, batchEvents)
		time.Sleep(batchDelay)
		synctest.Wait()
		require.Len(t, r.requests(), 3)
		assert.Equal(t, batchDelay, r.requests()[2].After-r.requests()[1].After)
		assert.Equal(t, WebhookStats{Delivered: batchEvents + 4}, kit.stats())
		kit.end(t)
	})
}

// failingApps cannot look apps up.
type failingApps struct{ Apps }

func (failingApps) AppByID(context.Context, string) (*App, error) {
	return nil, errors.New("database is away")
}

func TestWebhookAppLookupFails(t *testing.T) {
	kit := newWebhookKit(t, newReceiver(nil), Webhook{URL: hookURL})
	kit.apps.apps = failingApps{kit.apps.apps}
	kit.occupied("room")
	kit.vacated("room")
	assert.Equal(t, WebhookStats{Dropped: 2}, kit.stats())
	kit.end(t)
}

// TestWebhookOverHTTP sends to a real server.
func TestWebhookOverHTTP(t *testing.T) {
	type request struct {
		header http.Header
		host   string
		body   []byte
	}
	got := make(chan request, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		got <- request{r.Header, r.Host, body}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer srv.Close()
	kit := newWebhookKit(t, nil, Webhook{
		URL:     srv.URL + "/hook",
		Headers: map[string]string{"Authorization": "Bearer x", "Host": "hooks.test", "content-type": "text/plain", "X-Pusher-Signature": "none"},
	})
	kit.occupied("room")
	kit.end(t)

	r := <-got
	assert.Equal(t, []string{"application/json"}, r.header["Content-Type"])
	assert.Equal(t, []string{"key"}, r.header["X-Pusher-Key"])
	assert.Equal(t, []string{signWebhook("secret", r.body)}, r.header["X-Pusher-Signature"])
	assert.Equal(t, "Bearer x", r.header.Get("Authorization"))
	assert.Equal(t, "hooks.test", r.host)
	assert.True(t, strings.HasPrefix(string(r.body), `{"time_ms":1`), "%s", r.body)
	assert.Equal(t, WebhookStats{Delivered: 1}, kit.stats())
}
