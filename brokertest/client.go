package brokertest

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/pusher"
	"github.com/carillon-rt/carillon/transport/memory"
)

// Timeout is how long a client waits for what is to come before it fails the
// test.
const Timeout = 5 * time.Second

// Client is a client connected to a kit. Its methods fail the test when
// something is not as it should be. A client is for one goroutine.
type Client struct {
	t        testing.TB
	kit      *Kit
	conn     *memory.Client
	socketID string
}

// Frame is one message as the client got it.
type Frame struct {
	Event   string `json:"event"`
	Channel string `json:"channel"`
	// Data is the event's data: the text that a JSON string held, or the JSON
	// value as it came.
	Data   string `json:"-"`
	UserID string `json:"user_id"`
	// Raw is the whole message.
	Raw string `json:"-"`
}

// DialOption changes how a client connects.
type DialOption func(*pusher.Dial)

// WithIP gives the client an address, which is 127.0.0.1 otherwise.
func WithIP(ip string) DialOption { return func(d *pusher.Dial) { d.IP = ip } }

// WithHeader adds a header to those that a Connect hook sees, such as Cookie.
func WithHeader(name, value string) DialOption {
	return func(d *pusher.Dial) {
		if d.Header == nil {
			d.Header = http.Header{}
		}
		d.Header.Add(name, value)
	}
}

// WithDial changes anything of how the client connects.
func WithDial(change func(*pusher.Dial)) DialOption { return change }

// Connect returns a client that is connected.
func (k *Kit) Connect(t testing.TB, opts ...DialOption) *Client {
	t.Helper()
	c := k.Dial(t, opts...)
	var hello struct {
		SocketID string `json:"socket_id"`
	}
	c.Expect("pusher:connection_established", "").Decode(t, &hello)
	c.socketID = hello.SocketID
	return c
}

// Dial returns a client that has connected and read nothing yet: use it where
// the connection may be refused.
func (k *Kit) Dial(t testing.TB, opts ...DialOption) *Client {
	t.Helper()
	d := pusher.Dial{Key: k.Config.Key, Protocol: "7", Client: "brokertest", IP: "127.0.0.1"}
	for _, opt := range opts {
		opt(&d)
	}
	var conn []memory.Option
	if k.attached {
		conn = append(conn, memory.WithSignsOfLife())
	}
	c, err := memory.Connect(k.Handler.Open(t.Context(), d), conn...)
	if err != nil {
		t.Fatalf("client: %v", err)
	}
	return &Client{t: t, kit: k, conn: c}
}

// SocketID is the client's socket ID; empty for one that Dial returned.
func (c *Client) SocketID() string { return c.socketID }

// Write sends a message as it is. Use it for requests that are refused, for which the
// other methods fail the test.
func (c *Client) Write(message string) {
	c.t.Helper()
	if err := c.conn.Send([]byte(message)); err != nil {
		c.t.Fatalf("client %s: send: %v", c.socketID, err)
	}
}

// send sends an event of the protocol.
func (c *Client) send(event, channel string, data any) {
	c.t.Helper()
	raw, err := json.Marshal(struct {
		Event   string `json:"event"`
		Channel string `json:"channel,omitempty"`
		Data    any    `json:"data"`
	}{event, channel, data})
	if err != nil {
		c.t.Fatalf("client %s: %v", c.socketID, err)
	}
	c.Write(string(raw))
}

// Next returns the next message, and fails the test if there is none within
// Timeout.
func (c *Client) Next() Frame {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Timeout)
	defer cancel()
	raw, err := c.conn.Receive(ctx)
	if err != nil {
		c.t.Fatalf("client %s: no message: %v", c.socketID, err)
	}
	return c.decode(raw)
}

func (c *Client) decode(raw []byte) Frame {
	c.t.Helper()
	f := Frame{Raw: string(raw)}
	var data struct {
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(raw, &f); err != nil {
		c.t.Fatalf("client %s: message %q: %v", c.socketID, raw, err)
	}
	if err := json.Unmarshal(raw, &data); err != nil {
		c.t.Fatalf("client %s: message %q: %v", c.socketID, raw, err)
	}
	if json.Unmarshal(data.Data, &f.Data) != nil {
		f.Data = string(data.Data)
	}
	return f
}

// TryNext returns the next message, if one waits. What a call sends to clients is there
// when the call returns.
func (c *Client) TryNext() (Frame, bool) {
	c.t.Helper()
	raw, ok := c.conn.TryReceive()
	if !ok {
		return Frame{}, false
	}
	return c.decode(raw), true
}

// Expect returns the next message, which must have this event and channel.
func (c *Client) Expect(event, channel string) Frame {
	c.t.Helper()
	f := c.Next()
	if f.Event != event || f.Channel != channel {
		c.t.Fatalf("client %s: got %s, want event %q on channel %q", c.socketID, f.Raw, event, channel)
	}
	return f
}

// ExpectNothing checks that no message waits. What a call sends to clients is there
// when the call returns.
func (c *Client) ExpectNothing() {
	c.t.Helper()
	if raw, ok := c.conn.TryReceive(); ok {
		c.t.Fatalf("client %s: got %s, want nothing", c.socketID, raw)
	}
}

// Decode parses the frame's data.
func (f Frame) Decode(t testing.TB, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(f.Data), into); err != nil {
		t.Fatalf("data of %s: %v", f.Raw, err)
	}
}

// Subscribe subscribes to a channel, with a valid signature where it needs one,
// and returns the success message. Presence channels need SubscribeAs, unless the
// client is signed in. Events of encrypted channels come sealed.
func (c *Client) Subscribe(channel string) Frame {
	c.t.Helper()
	auth := ""
	if broker.KindOf(channel).NeedsAuthorization() {
		auth = c.Auth(channel, "")
	}
	c.send("pusher:subscribe", "", map[string]string{"channel": channel, "auth": auth})
	return c.Expect("pusher_internal:subscription_succeeded", channel)
}

// SubscribeAs subscribes to a presence channel as a user. info is a JSON value,
// or empty.
func (c *Client) SubscribeAs(channel, userID, info string) Frame {
	c.t.Helper()
	member := map[string]any{"user_id": userID}
	if info != "" {
		member["user_info"] = json.RawMessage(info)
	}
	data, err := json.Marshal(member)
	if err != nil {
		c.t.Fatalf("client %s: %v", c.socketID, err)
	}
	c.send("pusher:subscribe", "", map[string]string{
		"channel": channel, "channel_data": string(data),
		"auth": c.Auth(channel, string(data)),
	})
	return c.Expect("pusher_internal:subscription_succeeded", channel)
}

// Auth returns what a backend would sign for the client's subscription to a
// channel: for tests that write the subscription themselves. data is the member of a
// presence channel as JSON, or empty.
func (c *Client) Auth(channel, data string) string {
	c.t.Helper()
	auth, err := pusher.SignChannel(c.kit.Config, c.socketID, channel, data)
	if err != nil {
		c.t.Fatalf("client %s: %v", c.socketID, err)
	}
	return auth
}

// Unsubscribe leaves a channel.
func (c *Client) Unsubscribe(channel string) {
	c.t.Helper()
	c.send("pusher:unsubscribe", "", map[string]string{"channel": channel})
}

// SignIn signs the client in as a user who watches others, and returns the
// success message. Who of those is online follows in a message of its own,
// pusher_internal:watchlist_events.
func (c *Client) SignIn(userID string, watchlist ...string) Frame {
	c.t.Helper()
	user := map[string]any{"id": userID}
	if len(watchlist) > 0 {
		user["watchlist"] = watchlist
	}
	data, err := json.Marshal(user)
	if err != nil {
		c.t.Fatalf("client %s: %v", c.socketID, err)
	}
	auth, err := pusher.SignUser(c.kit.Config, c.socketID, string(data))
	if err != nil {
		c.t.Fatalf("client %s: %v", c.socketID, err)
	}
	c.send("pusher:signin", "", map[string]string{"user_data": string(data), "auth": auth})
	return c.Expect("pusher:signin_success", "")
}

// Trigger sends a client event to the others on the channel; its name must start
// with "client-", and data is anything that encoding/json takes. A refusal comes
// as pusher:error.
func (c *Client) Trigger(channel, event string, data any) {
	c.t.Helper()
	if !strings.HasPrefix(event, "client-") {
		c.t.Fatalf("client %s: event %q does not start with client-", c.socketID, event)
	}
	c.send(event, channel, data)
}

// Close ends the connection as a client that closes it does.
func (c *Client) Close() { c.conn.Close(1000, "") }

// CloseCode waits until the server has ended the connection and returns its
// code. Messages that were not read are passed over.
func (c *Client) CloseCode() int {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Timeout)
	defer cancel()
	for {
		if _, err := c.conn.Receive(ctx); err != nil {
			if ctx.Err() != nil {
				c.t.Fatalf("client %s: the connection has not ended", c.socketID)
			}
			code, _ := c.conn.CloseStatus()
			return code
		}
	}
}
