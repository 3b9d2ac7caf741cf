package main

import (
	"encoding/json"
	"net/url"
	"testing"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// frame is one message of the protocol; data holds JSON in a string or an object.
type frame struct {
	Event   string          `json:"event"`
	Channel string          `json:"channel,omitempty"`
	Data    json.RawMessage `json:"data,omitempty"`
}

// TestHistoryIsForMessages says that whispers go on the channel without history.
func TestHistoryIsForMessages(t *testing.T) {
	s := newSite(t)
	ada := s.signedIn("Ada")
	ctx := t.Context()
	ws, _, err := websocket.Dial(ctx, s.url+"/realtime/app/chat-key?protocol=7", nil)
	require.NoError(t, err)
	defer func() { _ = ws.CloseNow() }()
	read := func() (f frame) {
		require.NoError(t, wsjson.Read(ctx, ws, &f))
		return f
	}
	send := func(event, channel string, data any) {
		require.NoError(t, wsjson.Write(ctx, ws, map[string]any{"event": event, "channel": channel, "data": data}))
	}
	var text string
	var established struct {
		SocketID string `json:"socket_id"`
	}
	require.NoError(t, json.Unmarshal(read().Data, &text))
	require.NoError(t, json.Unmarshal([]byte(text), &established))
	for _, channel := range []string{"presence-room-lobby", "presence-typing-lobby"} {
		var auth map[string]string
		resp, err := ada.client.PostForm(s.url+"/pusher/auth", url.Values{"socket_id": {established.SocketID}, "channel_name": {channel}})
		require.NoError(t, err)
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&auth))
		require.NoError(t, resp.Body.Close())
		auth["channel"] = channel
		send("pusher:subscribe", "", auth)
		require.Equal(t, "pusher_internal:subscription_succeeded", read().Event)
	}
	send("client-typing", "presence-room-lobby", map[string]bool{"active": true})
	assert.Equal(t, "pusher:error", read().Event)
	send("client-typing", "presence-typing-lobby", map[string]bool{"active": true})
	send("pusher:ping", "", nil)
	assert.Equal(t, "pusher:pong", read().Event, "the whisper was taken")

	for _, channel := range []string{s.chat.room.channel, s.chat.room.typing} {
		for range s.chat.room.app.History(ctx, channel) {
			assert.Fail(t, "the history has an event", channel)
		}
	}
}
