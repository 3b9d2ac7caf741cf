package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/pusher"
)

const (
	// maxMessage bounds a message in bytes: an event of 1 MiB, written as JSON in JSON.
	maxMessage = 4 << 20
	// pongTimeout is how long a server has to answer a ping.
	pongTimeout = 30 * time.Second
	// maxActivityTimeout bounds what a server may ask for.
	maxActivityTimeout = 24 * time.Hour
)

// ErrSilent says that a server did not answer a ping.
var ErrSilent = fmt.Errorf("the server did not answer a ping within %s", pongTimeout)

// Socket is a connection to a server. Send is safe for concurrent use.
type Socket struct {
	app  *App
	conn *websocket.Conn
	// ID is the connection's, "123.456".
	ID string
	// ActivityTimeout is after how long a silent server is pinged, at the latest after
	// twice that.
	ActivityTimeout time.Duration
	// heard counts messages, so that silence is noticed.
	heard atomic.Int64
	// Malformed counts messages that were not of the protocol, which are passed over.
	Malformed atomic.Int64
}

// Dial connects, and returns once the server has said the connection's ID. name and
// version are what the client says of itself.
func Dial(ctx context.Context, app *App, name, version string) (*Socket, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, connectTimeout, fmt.Errorf("no connection within %s", connectTimeout))
	defer cancel()
	u := app.Socket
	u.Path += "/app/" + app.Key
	query := u.Query()
	query.Set("protocol", "7")
	query.Set("client", name)
	query.Set("version", version)
	u.RawQuery = query.Encode()
	client := app.httpClient(1)
	// A connection that became a WebSocket is not among those.
	defer client.CloseIdleConnections()
	conn, res, err := websocket.Dial(ctx, u.String(), &websocket.DialOptions{HTTPClient: client})
	if err != nil {
		if res != nil && res.StatusCode != http.StatusSwitchingProtocols {
			body, _ := io.ReadAll(io.LimitReader(res.Body, maxClip))
			return nil, &HandshakeError{Status: res.StatusCode, Body: clip(strings.TrimSpace(string(body)))}
		}
		return nil, unreachable(u, because(ctx, err))
	}
	conn.SetReadLimit(maxMessage)
	s := &Socket{app: app, conn: conn}
	if err := s.greet(ctx); err != nil {
		_ = conn.CloseNow()
		return nil, because(ctx, err)
	}
	return s, nil
}

// because returns why a context has ended, if that is what an error came of.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.As(err, new(*ClosedError)) {
		return cause
	}
	return err
}

// greet takes the first message.
func (s *Socket) greet(ctx context.Context) error {
	f, err := s.read(ctx)
	if err != nil {
		return err
	}
	if f.Event != "pusher:connection_established" {
		return fmt.Errorf("the server began with %q, not with pusher:connection_established", clip(f.Event))
	}
	var established struct {
		SocketID        string  `json:"socket_id"`
		ActivityTimeout float64 `json:"activity_timeout"`
	}
	if err := json.Unmarshal([]byte(f.Data), &established); err != nil || established.SocketID == "" {
		return fmt.Errorf("the server's first message has no socket_id: %s", clip(f.Data))
	}
	s.ID = established.SocketID
	s.ActivityTimeout = 120 * time.Second
	if t := established.ActivityTimeout; t > 0 {
		s.ActivityTimeout = time.Duration(min(t, maxActivityTimeout.Seconds()) * float64(time.Second))
	}
	return nil
}

// read reads the next message of the protocol. An error of the server that ends the
// connection is a *ClosedError.
func (s *Socket) read(ctx context.Context) (Frame, error) {
	for {
		_, message, err := s.conn.Read(ctx)
		if err != nil {
			return Frame{}, ended(err)
		}
		s.heard.Add(1)
		f, err := parseFrame(message)
		if err != nil {
			s.Malformed.Add(1)
			continue
		}
		if f.Event == "pusher:error" {
			if code := ErrorCode(f.Data); code >= 4000 && code < 4300 {
				return f, &ClosedError{Code: code, Reason: clip(ErrorMessage(f.Data))}
			}
		}
		return f, nil
	}
}

// Run hands messages to handle until one of them returns an error, the connection ends or
// the context does. It answers pings and pings a silent server itself. It returns why it
// ended, and has closed the connection then.
func (s *Socket) Run(ctx context.Context, handle func(Frame) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	heard := s.heard.Load() // before the loop below hears more
	go func() {
		defer close(watched)
		if err := s.watch(ctx, heard); err != nil {
			cancel(err)
			_ = s.conn.CloseNow()
			return
		}
		// Whoever does not take part in closing is cut off after a moment.
		_ = s.conn.Close(websocket.StatusNormalClosure, "")
	}()
	// A read that a context ends would leave the server without a close frame.
	err := s.loop(context.WithoutCancel(ctx), handle)
	// A close frame without a code of the protocol may be the answer to ours.
	var closed *ClosedError
	if cause := context.Cause(ctx); cause != nil && !(errors.As(err, &closed) && closed.Code >= 4000) {
		err = cause
	}
	cancel(nil)
	<-watched
	return err
}

func (s *Socket) loop(ctx context.Context, handle func(Frame) error) error {
	for {
		f, err := s.read(ctx)
		if err != nil {
			return err
		}
		switch f.Event {
		case "pusher:ping":
			err = s.Send(ctx, "pusher:pong", struct{}{})
		case "pusher:pong":
		default:
			err = handle(f)
		}
		if err != nil {
			return err
		}
	}
}

// watch pings the server when it is silent, and returns ErrSilent if it stays so, or nil
// once the context has ended. heard is how many messages there were when it began.
func (s *Socket) watch(ctx context.Context, heard int64) error {
	wait, pinged := s.ActivityTimeout, false
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		now := s.heard.Load()
		switch {
		case now != heard:
			heard, wait, pinged = now, s.ActivityTimeout, false
		case pinged:
			return ErrSilent
		default:
			if err := s.Send(ctx, "pusher:ping", struct{}{}); err != nil {
				return err
			}
			wait, pinged = pongTimeout, true
		}
		timer.Reset(wait)
	}
}

// Send sends an event of the protocol to the server.
func (s *Socket) Send(ctx context.Context, event string, data any) error {
	message, err := json.Marshal(map[string]any{"event": event, "data": data})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return s.conn.Write(ctx, websocket.MessageText, message)
}

// Close ends a connection that does not run.
func (s *Socket) Close() { _ = s.conn.CloseNow() }

// Subscription is what a client asks for.
type Subscription struct {
	Channel string
	// Member is the JSON that a presence channel shows of the client.
	Member string
	// After is the position after which the channel goes on, if it is known, and Sockets
	// are the earlier connections of this client, the latest first.
	After   string
	Sockets []string
}

// Subscribe asks for a channel, and signs that itself where the channel needs it.
func (s *Socket) Subscribe(ctx context.Context, sub Subscription) error {
	type resume struct {
		Version int      `json:"v"`
		After   string   `json:"after,omitempty"`
		Sockets []string `json:"sockets,omitempty"`
	}
	data := struct {
		Channel     string `json:"channel"`
		Auth        string `json:"auth,omitempty"`
		ChannelData string `json:"channel_data,omitempty"`
		Resume      resume `json:"resume"`
	}{Channel: sub.Channel, Resume: resume{Version: 1, After: sub.After, Sockets: sub.Sockets}}
	if kind := broker.KindOf(sub.Channel); kind.NeedsAuthorization() {
		if kind.Base() == broker.Presence {
			data.ChannelData = sub.Member
		}
		var err error
		if data.Auth, err = pusher.SignChannel(&pusher.App{Key: s.app.Key, Secret: s.app.Secret}, s.ID, sub.Channel, data.ChannelData); err != nil {
			return err
		}
	}
	return s.Send(ctx, "pusher:subscribe", data)
}

// SignIn says who is connected. user is JSON with an id.
func (s *Socket) SignIn(ctx context.Context, user string) error {
	auth, err := pusher.SignUser(&pusher.App{Key: s.app.Key, Secret: s.app.Secret}, s.ID, user)
	if err != nil {
		return err
	}
	return s.Send(ctx, "pusher:signin", map[string]string{"auth": auth, "user_data": user})
}

// IsServerToUser reports whether a channel is that of one user.
func IsServerToUser(channel string) bool { return broker.KindOf(channel) == broker.ServerToUser }

// UserOf is the user of such a channel.
func UserOf(channel string) string { return strings.TrimPrefix(channel, "#server-to-user-") }

// NeedsSecret reports whether a subscription to a channel has to be signed.
func NeedsSecret(channel string) bool {
	return broker.KindOf(channel).NeedsAuthorization() || IsServerToUser(channel)
}

// ErrorCode is the code within the data of a pusher:error; 0 is none.
func ErrorCode(data string) int {
	var e struct{ Code *int }
	if json.Unmarshal([]byte(data), &e) != nil || e.Code == nil {
		return 0
	}
	return *e.Code
}

// ErrorMessage is the message within the data of a pusher:error, or all of it.
func ErrorMessage(data string) string {
	var e struct{ Message string }
	if json.Unmarshal([]byte(data), &e) != nil || e.Message == "" {
		return data
	}
	return e.Message
}
