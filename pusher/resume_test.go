package pusher_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/storage"
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
	data := map[string]any{"channel": r.channel, "auth": "", "resume": resume}
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
