package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/pusher"
	"github.com/carillon-rt/carillon/transport/memory"
)

// Names that a page must show as they are.
var (
	hostileUsers = []string{"<img src=x onerror=alert(1)>", "\u202egnp.exe", "\"'`;--", "__proto__", "a/b?c#d&e=f%00",
		strings.Repeat("long-", 25), "Zoë 👩‍👩‍👧‍👦", "{{constructor.constructor('alert(1)')()}}", "שלום עולם", "line\u2028break"}
	hostileChannels = []string{"constructor", "__proto__", "private-" + strings.Repeat("x", 150), "room-a;b,c.d@e=f_g-h", "presence-room-__proto__", "private-encrypted-vault", "cache-weather"}
	hostileEvents   = []string{"<script>alert(1)</script>", "javascript:alert(1)", "😀 smile", strings.Repeat("n", 200), "\u202eevil", "order.created"}
	hostileData     = []string{`"</script><script>alert(1)</script>"`, `{"__proto__":{"polluted":true},"text":"<b>bold</b>"}`,
		`{"deep":` + strings.Repeat(`[`, 40) + strings.Repeat(`]`, 40) + `}`, `{"text":"\u202e\u0000 zero"}`, strings.Repeat("a", 9000)}
)

// conn is a connection to the server.
type conn interface {
	Receive(ctx context.Context) ([]byte, error)
	Send(data []byte) error
	Close(code int, reason string)
}

// socket is one over WebSocket.
type socket struct{ *websocket.Conn }

func (s socket) Receive(ctx context.Context) ([]byte, error) {
	_, data, err := s.Read(ctx)
	return data, err
}

func (s socket) Send(data []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return s.Write(ctx, websocket.MessageText, data)
}

func (s socket) Close(code int, reason string) { _ = s.CloseNow() }

// client is one that reads whatever it is sent.
type client struct {
	conn conn
	id   string
	app  *pusher.App
}

func (s *server) connect(ctx context.Context, ip string, slow bool) (*client, error) {
	var opts []memory.Option
	opts = append(opts, memory.WithSignsOfLife())
	if slow {
		opts = append(opts, memory.WithQueueLimits(64, 64<<10))
	}
	in, err := memory.Connect(s.handler.Open(ctx, pusher.Dial{Key: s.app.Key, Protocol: "7", Client: "demo", Version: "1", IP: ip}), opts...)
	if err != nil {
		return nil, err
	}
	return s.greet(ctx, in)
}

// dial connects over WebSocket.
func (s *server) dial(ctx context.Context) (*client, error) {
	c, _, err := websocket.Dial(ctx, strings.Replace(s.base, "http", "ws", 1)+"/app/"+s.app.Key+"?protocol=7&client=demo&version=1", nil)
	if err != nil {
		return nil, err
	}
	c.SetReadLimit(1 << 20)
	return s.greet(ctx, socket{c})
}

// greet waits for the first message, which says who the client is.
func (s *server) greet(ctx context.Context, in conn) (*client, error) {
	c := &client{conn: in, app: s.app}
	first, err := in.Receive(ctx)
	if err != nil {
		return nil, err
	}
	var established struct{ Event, Data string }
	var data struct {
		SocketID string `json:"socket_id"`
	}
	if err := json.Unmarshal(first, &established); err == nil {
		_ = json.Unmarshal([]byte(established.Data), &data)
	}
	c.id = data.SocketID
	return c, nil
}

func (c *client) send(event, channel string, data any) {
	m := map[string]any{"event": event, "data": data}
	if channel != "" {
		m["channel"] = channel
	}
	encoded, err := json.Marshal(m)
	if err == nil {
		_ = c.conn.Send(encoded)
	}
}

func (c *client) subscribe(channel, user string) {
	data := map[string]any{"channel": channel}
	if kind := broker.KindOf(channel); kind.NeedsAuthorization() {
		channelData := ""
		if kind.Base() == broker.Presence {
			encoded, _ := json.Marshal(map[string]any{"user_id": user, "user_info": map[string]string{"name": "Name of " + user}})
			channelData = string(encoded)
			data["channel_data"] = channelData
		}
		auth, err := pusher.SignChannel(c.app, c.id, channel, channelData)
		if err != nil {
			return
		}
		if kind.Base() == broker.Encrypted {
			data["shared_secret"] = ""
		}
		data["auth"] = auth
	}
	c.send("pusher:subscribe", "", data)
}

func (c *client) signIn(user string) {
	encoded, _ := json.Marshal(map[string]any{"id": user, "user_info": map[string]string{"email": "a@example.com"}})
	auth, err := pusher.SignUser(c.app, c.id, string(encoded))
	if err == nil {
		c.send("pusher:signin", "", map[string]any{"auth": auth, "user_data": string(encoded)})
	}
}

// read takes whatever comes until the connection ends.
func (c *client) read(ctx context.Context) {
	for {
		if _, err := c.conn.Receive(ctx); err != nil {
			return
		}
	}
}

// traffic keeps the server busy until ctx ends.
func (s *server) traffic(ctx context.Context) error {
	if s.empty {
		return nil
	}
	var reading sync.WaitGroup
	defer reading.Wait()
	var clients []*client
	defer func() {
		for _, c := range clients {
			c.conn.Close(1000, "")
		}
	}()
	join := func(i int) error {
		var c *client
		var err error
		if i < len(hostileUsers) || i%4 == 0 {
			c, err = s.connect(ctx, fmt.Sprintf("10.%d.%d.%d", i>>16&255, i>>8&255, i&255), false)
		} else {
			c, err = s.dial(ctx)
		}
		if err != nil {
			return err
		}
		clients = append(clients, c)
		reading.Go(func() { c.read(ctx) })
		user := fmt.Sprintf("user-%d", i)
		if i < len(hostileUsers) {
			user = hostileUsers[i]
		}
		if i%2 == 0 {
			c.signIn(user)
		}
		c.subscribe(fmt.Sprintf("room-%d", i%7), user)
		c.subscribe(fmt.Sprintf("presence-room-%d", i%3), user)
		c.subscribe(hostileChannels[i%len(hostileChannels)], user)
		c.subscribe("news", user)
		return nil
	}
	for i := range s.clients {
		if err := join(i); err != nil {
			return err
		}
	}
	const each = 1000
	for i := 0; i < s.channels; i += each {
		c, err := s.connect(ctx, "192.0.2.1", false)
		if err != nil {
			return err
		}
		clients = append(clients, c)
		reading.Go(func() { c.read(ctx) })
		for n := i; n < min(i+each, s.channels) && ctx.Err() == nil; n++ {
			c.subscribe(fmt.Sprintf("many-%06d", n), "")
		}
	}
	tick := time.NewTicker(time.Second / time.Duration(max(s.rate, 1)))
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if s.rate > 0 {
				clients = s.happen(ctx, n, clients, join)
			}
		}
	}
}

// happen is one thing that happens.
func (s *server) happen(ctx context.Context, n int, clients []*client, join func(int) error) []*client {
	app := s.broker.App(s.app.ID)
	pick := func(of []string) string { return of[s.random.IntN(len(of))] }
	c := clients[s.random.IntN(len(clients))]
	switch {
	case n%97 == 0: // somebody leaves, and somebody comes
		c.conn.Close(1001, "going away")
		_ = join(len(hostileUsers) + n%250)
	case n%41 == 0: // what is not authorized
		c.send("pusher:subscribe", "", map[string]any{"channel": "private-secret", "auth": "app-key:0000"})
	case n%43 == 0:
		c.subscribe("small-room", "")
	case n%47 == 0:
		_, _ = app.Publish(ctx, "limited-1", "too often", []byte("{}"))
	case n%53 == 0:
		_, _ = app.Publish(ctx, "room-1", "pusher:forbidden", []byte("{}"))
	case n%11 == 0:
		c.send("client-typing", fmt.Sprintf("presence-room-%d", s.random.IntN(3)), map[string]any{"on": n%2 == 0})
	case n%7 == 0:
		_, _ = app.Publish(ctx, pick(hostileChannels), pick(hostileEvents), []byte(pick(hostileData)))
	case n%5 == 0:
		_, _ = app.Publish(ctx, "news", "headline", fmt.Appendf(nil, `{"n":%d}`, n), broker.Exclude(c.id))
	case n%1009 == 0:
		s.slow(ctx)
	default:
		_, _ = app.Publish(ctx, fmt.Sprintf("room-%d", s.random.IntN(7)), "message", fmt.Appendf(nil, `{"text":"message %d"}`, n))
	}
	return clients
}

// slow is a client that takes in nothing, and is cut off.
func (s *server) slow(ctx context.Context) {
	c, err := s.connect(ctx, "198.51.100.9", true)
	if err != nil {
		return
	}
	c.subscribe("news", "")
	app := s.broker.App(s.app.ID)
	for range 80 {
		_, _ = app.Publish(ctx, "news", "burst", []byte("{}"))
	}
}
