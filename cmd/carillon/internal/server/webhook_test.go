package server

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	sdk "github.com/pusher/pusher-http-go/v5"
	"github.com/stretchr/testify/require"
)

type hookRequest struct {
	header http.Header
	body   []byte
}

// receive starts a server with flags whose webhooks come out of the channel.
func receive(t *testing.T, flags ...string) (*fixture, <-chan hookRequest) {
	t.Helper()
	requests := make(chan hookRequest, 100)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests <- hookRequest{r.Header, body}
	}))
	t.Cleanup(func() {
		receiver.Close()
		// The server delivers with the client that everybody has.
		http.DefaultClient.CloseIdleConnections()
	})
	return start(t, append(flags, "-webhook", receiver.URL)...), requests
}

func next(t *testing.T, f *fixture, requests <-chan hookRequest) []sdk.WebhookEvent {
	t.Helper()
	select {
	case r := <-requests:
		hook, err := f.sdk().Webhook(r.header, r.body)
		require.NoError(t, err)
		at := time.UnixMilli(int64(hook.TimeMs))
		require.WithinRange(t, at, time.Now().Add(-time.Minute), time.Now().Add(time.Minute))
		return hook.Events
	case <-time.After(patience):
		require.FailNow(t, "no webhook came")
		return nil
	}
}

func TestWebhooks(t *testing.T) {
	f, requests := receive(t)
	ws, client := f.dial(), f.sdk()
	ws.subscribe("presence-room", authorizeMember(t, client, ws, "presence-room", "ann"))
	events := append(next(t, f, requests), next(t, f, requests)...)
	require.ElementsMatch(t, []sdk.WebhookEvent{
		{Name: "channel_occupied", Channel: "presence-room"},
		{Name: "member_added", Channel: "presence-room", UserID: "ann"},
	}, events)

	ws.sendOn("client-typing", "presence-room", map[string]bool{"on": true})
	require.Equal(t, []sdk.WebhookEvent{{Name: "client_event", Channel: "presence-room", Event: "client-typing",
		Data: `{"on":true}`, SocketID: ws.id, UserID: "ann"}}, next(t, f, requests))

	ws.subscribe("cache-x", "")
	ws.expect("pusher:cache_miss")
	events = append(next(t, f, requests), next(t, f, requests)...)
	require.ElementsMatch(t, []sdk.WebhookEvent{
		{Name: "channel_occupied", Channel: "cache-x"}, {Name: "cache_miss", Channel: "cache-x"},
	}, events)

	ws.close()
	f.stop()
	events = nil
	for range 3 {
		events = append(events, next(t, f, requests)...)
	}
	require.ElementsMatch(t, []sdk.WebhookEvent{
		{Name: "channel_vacated", Channel: "presence-room"}, {Name: "channel_vacated", Channel: "cache-x"},
		{Name: "member_removed", Channel: "presence-room", UserID: "ann"},
	}, events)
	require.Empty(t, requests)
}

func TestWebhooksOfClientEventsKeepTheirData(t *testing.T) {
	f, requests := receive(t, "-webhook-events", "client_event", "-client-events-per-second", "-1")
	ws, client := f.dial(), f.sdk()
	answer, err := client.AuthorizePrivateChannel(authParams(ws, "private-room"))
	require.NoError(t, err)
	ws.subscribe("private-room", string(answer))
	const events = 50
	for i := range events {
		ws.sendOn("client-x", "private-room", []int{i})
	}
	for i := range events {
		require.Equal(t, fmt.Sprintf("[%d]", i), next(t, f, requests)[0].Data)
	}
	ws.close()
}

func TestWebhookSignature(t *testing.T) {
	f, requests := receive(t)
	f.dial().subscribe("news", "")
	r := <-requests
	require.Equal(t, "application/json", r.header.Get("Content-Type"))
	require.Equal(t, "key", r.header.Get("X-Pusher-Key"))
	require.True(t, json.Valid(r.body))
	client := f.sdk()
	_, err := client.Webhook(r.header, r.body)
	require.NoError(t, err)
	_, err = client.Webhook(r.header, append(r.body, ' '))
	require.Error(t, err)
	client.Secret = "wrong"
	_, err = client.Webhook(r.header, r.body)
	require.Error(t, err)
}

func TestWebhookFilters(t *testing.T) {
	f, requests := receive(t, "-webhook-events", "channel_occupied", "-webhook-channels", "private-", "-webhook-batch")
	ws := f.dial()
	ws.subscribe("news", "")
	answer, err := f.sdk().AuthorizePrivateChannel(authParams(ws, "private-room"))
	require.NoError(t, err)
	ws.subscribe("private-room", string(answer))
	require.Equal(t, []sdk.WebhookEvent{{Name: "channel_occupied", Channel: "private-room"}}, next(t, f, requests))
	ws.close()
	f.stop()
	require.Empty(t, requests)
}
