package pusher_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/pusher"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/transport"
)

// keeping is a rule for all channels that keeps what tests publish.
func keeping(rule broker.ChannelRule) broker.Option {
	rule.Pattern = "*"
	if rule.History.Events == 0 {
		rule.History.Events = 100
	}
	return broker.WithChannelRules(rule)
}

// frame is what a client that keeps positions reads of a message.
type frame struct {
	Event, Channel string
	Data           any
	Pos, Prev      string
	Resume         *struct {
		Status string
		Missed int
	}
}

func frameOf(t *testing.T, raw string) frame {
	t.Helper()
	var f frame
	require.NoError(t, json.Unmarshal([]byte(raw), &f), raw)
	return f
}

// resumer is a client that keeps positions on one channel, and checks that each is the
// next.
type resumer struct {
	t       *testing.T
	kit     *brokertest.Kit
	channel string
	c       *brokertest.Client
	last    string
	sockets []string
	got     []any // data of events, in their order
}

func newResumer(t *testing.T, kit *brokertest.Kit, channel string) *resumer {
	r := &resumer{t: t, kit: kit, channel: channel}
	r.connect()
	return r
}

// connect connects as a new connection of the same page.
func (r *resumer) connect() {
	r.t.Helper()
	if r.c != nil {
		r.c.Close()
		r.sockets = append([]string{r.c.SocketID()}, r.sockets...)
	}
	r.c = r.kit.Connect(r.t)
	if user, ok := strings.CutPrefix(r.channel, "#server-to-user-"); ok {
		r.c.SignIn(user)
	}
}

// ask sends a subscription with this after; "" leaves it out.
func (r *resumer) ask(after string) {
	r.t.Helper()
	resume := map[string]any{"v": 1}
	if after != "" {
		resume["after"] = after
	}
	if len(r.sockets) > 0 {
		resume["sockets"] = r.sockets
	}
	r.send(resume)
}

// send sends a subscription with this "resume", or without for nil.
func (r *resumer) send(resume map[string]any) {
	r.t.Helper()
	data := map[string]any{"channel": r.channel, "auth": ""}
	if resume != nil {
		data["resume"] = resume
	}
	switch kind := broker.KindOf(r.channel); {
	case kind.Base() == broker.Presence:
		member := `{"user_id":"ann"}`
		data["channel_data"], data["auth"] = member, r.c.Auth(r.channel, member)
	case kind.NeedsAuthorization():
		data["auth"] = r.c.Auth(r.channel, "")
	}
	message, err := json.Marshal(map[string]any{"event": "pusher:subscribe", "data": data})
	require.NoError(r.t, err)
	r.c.Write(string(message))
}

// subscribe subscribes where the client left off, and returns how that began.
func (r *resumer) subscribe() (status string, missed int) {
	r.t.Helper()
	r.ask(r.last)
	f := frameOf(r.t, r.c.Expect("pusher_internal:subscription_succeeded", r.channel).Raw)
	require.NotNil(r.t, f.Resume, "%v", f)
	r.last = f.Pos
	return f.Resume.Status, f.Resume.Missed
}

// read reads so many frames with positions, and no more.
func (r *resumer) read(frames int) {
	r.t.Helper()
	for range frames {
		r.take(r.c.Next())
	}
	r.c.ExpectNothing()
}

func (r *resumer) take(raw brokertest.Frame) {
	r.t.Helper()
	f := frameOf(r.t, raw.Raw)
	if f.Event == "pusher_internal:position" {
		assert.Equal(r.t, "{}", f.Data)
	} else {
		r.got = append(r.got, f.Data)
	}
	if f.Pos != "" {
		require.True(r.t, follows(r.t, f, r.last), "%s does not follow %s", raw.Raw, r.last)
		r.last = f.Pos
	}
}

// follows is the rule of clients, who otherwise take positions as they are.
func follows(t *testing.T, f frame, last string) bool {
	t.Helper()
	if last == "" || f.Prev == last {
		return true
	}
	at, err := storage.ParsePosition(f.Pos)
	require.NoError(t, err)
	if f.Prev == "" {
		return last == storage.Position{Epoch: at.Epoch, Offset: at.Offset - 1}.String()
	}
	return last == storage.Position{Epoch: at.Epoch}.String() && !strings.HasPrefix(f.Prev, at.Epoch.String())
}

func (r *resumer) publish(data string, opts ...broker.PublishOption) {
	r.t.Helper()
	_, err := r.kit.App.Publish(r.t.Context(), r.channel, "message", []byte(data), opts...)
	require.NoError(r.t, err)
}

// Of every kind of channel a page gets what it has missed, once and in order.
func TestEveryKindOfChannelIsResumed(t *testing.T) {
	for _, channel := range []string{"room", "private-room", "presence-room", "private-encrypted-room", "cache-room",
		"private-cache-room", "presence-cache-room", "private-encrypted-cache-room", "#server-to-user-ann"} {
		t.Run(channel, func(t *testing.T) {
			kit := brokertest.New(t, keeping(broker.ChannelRule{}))
			r := newResumer(t, kit, channel)
			status, missed := r.subscribe()
			assert.Equal(t, "fresh", status)
			assert.Zero(t, missed)
			require.NotEmpty(t, r.last, "an empty channel has a position, or a gap from its beginning goes unseen")
			if broker.KindOf(channel).Cache() {
				r.c.Expect("pusher:cache_miss", channel)
			}
			r.publish("1")
			r.read(1)
			r.connect()
			for range 3 {
				r.publish("2")
			}
			status, missed = r.subscribe()
			assert.Equal(t, "resumed", status)
			assert.Equal(t, 3, missed)
			r.read(3) // and neither the cached event nor a miss
			r.publish("5")
			r.read(1)

			r.connect()
			status, missed = r.subscribe()
			assert.Equal(t, "resumed", status, "with nothing missed")
			assert.Zero(t, missed)
			r.read(0)
			r.publish("6")
			r.read(1)
			assert.Len(t, r.got, 6)
			if broker.KindOf(channel).Base() != broker.Encrypted {
				assert.Equal(t, []any{"1", "2", "2", "2", "5", "6"}, r.got)
			} else {
				assert.Contains(t, r.got[0], "ciphertext")
			}
		})
	}
}

// What a page has sent itself, over any of its connections, is neither sent to it again
// nor missing.
func TestOwnEventsAreLeftOutOfWhatIsReplayed(t *testing.T) {
	kit := brokertest.New(t, keeping(broker.ChannelRule{}))
	r := newResumer(t, kit, "private-room")
	other := newResumer(t, kit, "private-room")
	r.subscribe()
	other.subscribe()

	r.publish("1", broker.Exclude(r.c.SocketID()))
	r.read(1) // its position
	other.read(1)
	r.c.Trigger("private-room", "client-typing", "2")
	r.read(1)
	other.read(1)
	assert.Empty(t, r.got)
	assert.Equal(t, []any{"1", "2"}, other.got)

	// The page posts with the socket ID it had, and then with the one before.
	first := r.c.SocketID()
	r.connect()
	r.connect()
	second := r.sockets[0]
	r.publish("3")
	r.publish("4", broker.Exclude(second))
	r.publish("5", broker.Exclude(first))
	r.publish("6")
	r.publish("7", broker.Exclude(first))
	status, missed := r.subscribe()
	assert.Equal(t, "resumed", status)
	assert.Equal(t, 2, missed, "those that follow")
	r.read(4) // 3, a position for 4 and 5, 6, a position for 7
	assert.Equal(t, []any{"3", "6"}, r.got)
	r.publish("8", broker.Exclude(other.c.SocketID()))
	r.read(1)
	assert.Equal(t, []any{"3", "6", "8"}, r.got)

	// A request that was slow names the socket of then though the page has another.
	r.publish("9", broker.Exclude(first))
	r.publish("10")
	r.read(2) // a position for 9, 10
	assert.Equal(t, []any{"3", "6", "8", "10"}, r.got)

	// Who does not name its sockets gets all.
	other.connect()
	other.sockets = nil
	status, missed = other.subscribe()
	assert.Equal(t, "resumed", status)
	assert.Equal(t, 8, missed)
}

// Only the first of many sockets count, and what is none is ignored.
// What is no position of the channel is a gap, and the page is subscribed all the same.
// A version that the server does not know is as if nothing was asked for.
// Positions are asked for on one subscription, and not on the connection.
func TestPositionsAreOnOneSubscriptionOnly(t *testing.T) {
	kit := brokertest.New(t, keeping(broker.ChannelRule{}))
	r := newResumer(t, kit, "a")
	r.subscribe()
	r.c.Subscribe("b")
	_, err := kit.App.Publish(t.Context(), "b", "message", []byte("x"))
	require.NoError(t, err)
	assert.Equal(t, `{"event":"message","channel":"b","data":"x"}`, r.c.Next().Raw)
	r.publish("y")
	r.read(1)
	assert.NotEmpty(t, r.last)
}

// A channel that keeps nothing has no positions, and what is not kept has none.
func TestWhatIsNotKeptHasNoPosition(t *testing.T) {
	kit := brokertest.New(t, broker.WithChannelRules(broker.ChannelRule{Pattern: "private-kept",
		History: broker.Retention{Events: 10}, SkipClientEvents: true}))
	r := newResumer(t, kit, "nothing")
	status, _ := r.subscribe()
	assert.Equal(t, "fresh", status)
	assert.Empty(t, r.last)
	r.publish("1")
	assert.Equal(t, `{"event":"message","channel":"nothing","data":"1"}`, r.c.Next().Raw)

	kept, sender := newResumer(t, kit, "private-kept"), newResumer(t, kit, "private-kept")
	kept.subscribe()
	sender.subscribe()
	sender.c.Trigger("private-kept", "client-typing", "x")
	assert.Equal(t, `{"event":"client-typing","channel":"private-kept","data":"x"}`, kept.c.Next().Raw)
	sender.c.ExpectNothing()
}

// A second subscription that asks for positions begins anew where the page has noticed a
// hole; nobody else hears of it.
// A resync that is refused changes nothing, and one as another member is refused.
// A rule bounds what can be read with a position that somebody has made up.
// A hook sees where a client wants to go on, and may take it away or bound it.
// A page that is refused does not ask again until it reconnects: where a store fails it is
// made to, after a while.
// So it is where members are kept by a store that fails.
// Whoever asked for positions is told of what the subscribers of a channel have missed.
// Positions go on across epochs, and where offsets have holes.
// An event is encoded once for all who asked for positions, and once for all others.
func TestPositionsAreEncodedOnceForAllWhoAsked(t *testing.T) {
	kit := brokertest.New(t, keeping(broker.ChannelRule{}))
	var conns []*memoryConn
	for range 3 {
		for _, resume := range []string{"", `,"resume":{"v":1}`} {
			c := dialCounted(t, kit)
			c.receive(`{"event":"pusher:subscribe","data":{"channel":"room"` + resume + `}}`)
			conns = append(conns, c)
		}
	}
	_, err := kit.App.Publish(t.Context(), "room", "message", []byte("x"))
	require.NoError(t, err)
	distinct := make(map[*transport.Message]int)
	for _, c := range conns {
		distinct[c.last]++
	}
	assert.Len(t, distinct, 2)
	for m, n := range distinct {
		assert.Equal(t, 3, n, "%s", m.Payload())
	}
}

// memoryConn is a connection that notes what is sent to it.
type memoryConn struct {
	receiver transport.Receiver
	last     *transport.Message
}

func dialCounted(t *testing.T, kit *brokertest.Kit) *memoryConn {
	c := new(memoryConn)
	c.receiver = kit.Handler.Open(t.Context(), pusher.Dial{Key: kit.Config.Key, Protocol: "7"})(c)
	t.Cleanup(func() { c.receiver.Closed(1000, nil) })
	return c
}

func (c *memoryConn) receive(message string) { c.receiver.Receive([]byte(message)) }

// Send implements transport.Conn.
func (c *memoryConn) Send(m *transport.Message) error { c.last = m; return nil }

// Close implements transport.Conn.
func (c *memoryConn) Close(int, string) {}

// Info implements transport.Conn.
func (c *memoryConn) Info() transport.Info { return transport.Info{Transport: "test"} }

// LastReceived implements transport.Conn.
func (c *memoryConn) LastReceived() time.Time { return time.Now() }

// Queue implements transport.Conn.
func (c *memoryConn) Queue() transport.Queue {
	return transport.Queue{MessageLimit: transport.DefaultQueueMessages, ByteLimit: transport.DefaultQueueBytes}
}
