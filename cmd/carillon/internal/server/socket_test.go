package server

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
)

// wsClient is a client that speaks the protocol over a WebSocket of its own.
type wsClient struct {
	t  *testing.T
	ws *websocket.Conn
	id string
}

// frame is a message of either side.
type frame struct {
	Event   string          `json:"event"`
	Channel string          `json:"channel,omitempty"`
	Data    json.RawMessage `json:"data"`
	UserID  string          `json:"user_id,omitempty"`
}

// text is the frame's data, which is a string in all but errors.
func (f frame) text(t *testing.T) string {
	var s string
	require.NoError(t, json.Unmarshal(f.Data, &s), "%s", f.Data)
	return s
}

// dial connects and waits until the connection is established.
func (f *fixture) dial() *wsClient {
	f.t.Helper()
	return f.dialKey("key")
}

func (f *fixture) dialKey(key string) *wsClient {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	url := strings.Replace(f.url.String(), "http", "ws", 1) + "/app/" + key + "?protocol=7&client=test&version=1"
	ws, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: f.http})
	require.NoError(f.t, err)
	s := &wsClient{t: f.t, ws: ws}
	f.t.Cleanup(func() { _ = ws.CloseNow() })
	var data struct {
		SocketID        string `json:"socket_id"`
		ActivityTimeout int    `json:"activity_timeout"`
	}
	require.NoError(f.t, json.Unmarshal([]byte(s.expect("pusher:connection_established").text(f.t)), &data))
	require.Regexp(f.t, `^\d+\.\d+$`, data.SocketID)
	require.Equal(f.t, 45, data.ActivityTimeout)
	s.id = data.SocketID
	return s
}

func (s *wsClient) send(event string, data any) {
	s.t.Helper()
	s.sendOn(event, "", data)
}

// sendOn sends an event to a channel.
func (s *wsClient) sendOn(event, channel string, data any) {
	s.t.Helper()
	raw, err := json.Marshal(data)
	require.NoError(s.t, err)
	message, err := json.Marshal(frame{Event: event, Channel: channel, Data: raw})
	require.NoError(s.t, err)
	require.NoError(s.t, s.ws.Write(s.t.Context(), websocket.MessageText, message))
}

// expect reads the next frame, which must be of the event.
func (s *wsClient) expect(event string) frame {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	_, message, err := s.ws.Read(ctx)
	require.NoError(s.t, err)
	var f frame
	require.NoError(s.t, json.Unmarshal(message, &f))
	require.Equal(s.t, event, f.Event, "%s", message)
	return f
}

// closeCode reads the end of the connection.
func (s *wsClient) closeCode() websocket.StatusCode {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	_, message, err := s.ws.Read(ctx)
	require.Error(s.t, err, "%s", message)
	return websocket.CloseStatus(err)
}

// close ends the connection as a page does that is left.
func (s *wsClient) close() {
	s.t.Helper()
	require.NoError(s.t, s.ws.Close(websocket.StatusNormalClosure, ""))
}

// subscribe sends a subscription with what an endpoint has answered, if anything, and
// returns the data of its success.
func (s *wsClient) subscribe(channel, authorization string) string {
	s.t.Helper()
	s.join(channel, authorization)
	return s.expect("pusher_internal:subscription_succeeded").text(s.t)
}

func (s *wsClient) join(channel, authorization string) {
	s.t.Helper()
	data := map[string]string{}
	if authorization != "" {
		require.NoError(s.t, json.Unmarshal([]byte(authorization), &data))
		delete(data, "shared_secret") // pusher-js keeps it to itself
	}
	data["channel"] = channel
	s.send("pusher:subscribe", data)
}
