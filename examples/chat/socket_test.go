package main

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
	"github.com/stretchr/testify/require"
)

// frame is one message of the protocol; data holds JSON in a string or an object.
type frame struct {
	Event   string          `json:"event"`
	Channel string          `json:"channel,omitempty"`
	Data    json.RawMessage `json:"data,omitempty"`
	UserID  string          `json:"user_id,omitempty"`
}

// into reads the data.
func (f frame) into(t *testing.T, v any) {
	t.Helper()
	var text string
	if json.Unmarshal(f.Data, &text) == nil {
		f.Data = json.RawMessage(text)
	}
	require.NoError(t, json.Unmarshal(f.Data, v), "%s", f.Data)
}

// tab is a page's connection.
type tab struct {
	t      *testing.T
	ws     *websocket.Conn
	id     string
	frames chan frame
	ended  chan error
}

// dial connects with the visitor's cookies; what comes is in frames.
func (v *visitor) dial() *tab {
	t := v.site.t
	t.Helper()
	ws, _, err := websocket.Dial(t.Context(), v.site.url+"/realtime/app/"+appKey+"?protocol=7", &websocket.DialOptions{HTTPClient: v.client})
	require.NoError(t, err)
	tb := &tab{t: t, ws: ws, frames: make(chan frame, 1000), ended: make(chan error, 1)}
	go func() {
		defer close(tb.frames)
		for {
			var f frame
			if err := wsjson.Read(context.Background(), ws, &f); err != nil {
				tb.ended <- err
				return
			}
			tb.frames <- f
		}
	}()
	t.Cleanup(tb.close)
	return tb
}

func (tb *tab) close() {
	_ = tb.ws.CloseNow()
	for range tb.frames {
	}
}

// connect dials and signs in.
func (v *visitor) connect() *tab {
	t := v.site.t
	t.Helper()
	tb := v.dial()
	var established struct {
		SocketID string `json:"socket_id"`
	}
	tb.next("pusher:connection_established").into(t, &established)
	tb.id = established.SocketID
	status, raw := v.call("POST", "/pusher/user-auth", "socket_id="+tb.id, nil, "Content-Type", "application/x-www-form-urlencoded")
	require.Equal(t, http.StatusOK, status, raw)
	tb.send("pusher:signin", "", json.RawMessage(raw))
	tb.next("pusher:signin_success")
	tb.send("pusher:subscribe", "", object{"channel": "#server-to-user-" + userID(v.user.ID)})
	tb.next("pusher_internal:subscription_succeeded")
	return tb
}

// subscribe asks for a channel, with a signature where that is needed.
func (v *visitor) subscribe(tb *tab, channel string) {
	v.site.t.Helper()
	data := map[string]any{"channel": channel}
	if channel[0] == 'p' {
		status, raw := v.authorize(tb.id, channel)
		require.Equal(v.site.t, http.StatusOK, status, raw)
		require.NoError(v.site.t, json.Unmarshal([]byte(raw), &data))
		data["channel"] = channel
	}
	tb.send("pusher:subscribe", "", data)
}

// refused returns why the subscription that was asked for last was refused.
func (tb *tab) refused() string {
	tb.t.Helper()
	f := tb.any()
	for f.Event == "pusher:error" { // a bad signature is told twice
		f = tb.any()
	}
	require.Equal(tb.t, "pusher:subscription_error", f.Event)
	var reason struct{ Error string }
	f.into(tb.t, &reason)
	return reason.Error
}

// enter subscribes to a room's channels.
func (v *visitor) enter(tb *tab, rm room) {
	v.site.t.Helper()
	for _, channel := range []string{rm.Channel, rm.Presence} {
		v.subscribe(tb, channel)
		for {
			if f := tb.any(); f.Event == "pusher_internal:subscription_succeeded" {
				require.Equal(v.site.t, channel, f.Channel)
				break
			} else {
				require.NotContains(v.site.t, f.Event, "error", string(f.Data))
			}
		}
	}
}

func (tb *tab) send(event, channel string, data any) {
	tb.t.Helper()
	require.NoError(tb.t, wsjson.Write(tb.t.Context(), tb.ws, map[string]any{"event": event, "channel": channel, "data": data}))
}

// any returns the frame that comes next.
func (tb *tab) any() frame {
	tb.t.Helper()
	select {
	case f, ok := <-tb.frames:
		if !ok {
			require.FailNow(tb.t, "the connection has ended", "%v", <-tb.ended)
		}
		return f
	case <-time.After(20 * time.Second): // a bound for a test that fails
		require.FailNow(tb.t, "nothing came")
	}
	return frame{}
}

// next returns the next frame with an event, passing over others.
func (tb *tab) next(event string) frame {
	tb.t.Helper()
	for {
		f := tb.any()
		if f.Event == event {
			return f
		}
		require.NotEqual(tb.t, "pusher:error", f.Event, "%s", f.Data)
	}
}

// each returns the next frame with each of some events, in whatever order they come.
func (tb *tab) each(events ...string) map[string]frame {
	tb.t.Helper()
	found := make(map[string]frame)
	for len(found) < len(events) {
		f := tb.any()
		if _, had := found[f.Event]; !had && slices.Contains(events, f.Event) {
			found[f.Event] = f
		}
	}
	return found
}

// quiet returns the names of the events that have come until the server has answered
// a ping.
func (tb *tab) quiet() (events []string) {
	tb.t.Helper()
	tb.send("pusher:ping", "", nil)
	for {
		f := tb.any()
		if f.Event == "pusher:pong" {
			return events
		}
		events = append(events, f.Event)
	}
}

// closeCode waits for the end of the connection.
func (tb *tab) closeCode() websocket.StatusCode {
	tb.t.Helper()
	for range tb.frames {
	}
	return websocket.CloseStatus(<-tb.ended)
}
