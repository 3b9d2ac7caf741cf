package pusher

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/internal/alloctest"
	"github.com/carillon-rt/carillon/transport"
)

var update = flag.Bool("update", false, "rewrite the golden frames")

// frames are all that a server sends.
func frames() []*transport.Message {
	members := []broker.Member{{UserID: "1", Info: []byte(`{"name":"Ann"}`)}, {UserID: `"quoted"`}}
	return []*transport.Message{
		connectionEstablished("123.456", 120*time.Second),
		pingMessage,
		pongMessage,
		errorMessage(4001, `app key "x" does not exist`),
		errorMessage(0, "Existing subscription to channel a"),
		subscribedMessage("room", nil),
		subscribedMessage("private-room", nil),
		subscribedMessage("presence-room", nil),
		subscribedMessage("presence-room", members),
		subscriptionError("private-room", "AuthError", "invalid signature", 401),
		cacheMissMessage("cache-room"),
		memberAddedMessage("presence-room", members[0]),
		memberAddedMessage("presence-room", members[1]),
		memberRemovedMessage("presence-room", members[0]),
		subscriptionCountMessage("room", 42),
		watchlistMessage([]string{"1", "2"}, nil),
		watchlistMessage(nil, []string{"3"}),
		watchlistMessage([]string{"1"}, []string{"3"}),
		signinSuccess(`{"id":"1"}`),
		eventMessage(&broker.Event{Name: "message", Channel: "room", Data: []byte(`{"text":"<hi> \u00fc"}`)}),
		eventMessage(&broker.Event{Name: "message", Channel: "room", Data: []byte("plain\ttext\x01\xff 😀")}),
		eventMessage(&broker.Event{Name: "client-typing", Channel: "private-room", Data: []byte(`{"on":true}`), JSON: true}),
		eventMessage(&broker.Event{Name: "client-typing", Channel: "presence-room", Data: []byte("x"), UserID: "1"}),
	}
}

func TestGoldenFrames(t *testing.T) {
	const file = "testdata/frames.golden"
	var got bytes.Buffer
	for _, m := range frames() {
		got.Write(m.Payload())
		got.WriteByte('\n')
	}
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(file, got.Bytes(), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), got.String())
}

// TestFramesAreWhatClientsExpect checks the rules that hold for all frames.
func TestFramesAreWhatClientsExpect(t *testing.T) {
	for _, m := range frames() {
		var f struct {
			Event string          `json:"event"`
			Data  json.RawMessage `json:"data"`
		}
		require.NoError(t, json.Unmarshal(m.Payload(), &f), "%s", m.Payload())
		assert.True(t, utf8.Valid(m.Payload()))
		switch f.Event {
		case "client-typing":
		case "pusher:error":
			assert.EqualValues(t, '{', f.Data[0], "%s", m.Payload())
		default:
			assert.EqualValues(t, '"', f.Data[0], "%s", m.Payload())
		}
	}
}

func TestCloseCodes(t *testing.T) {
	for reason, want := range map[broker.CloseReason]int{
		broker.CloseShutdown: 4200, broker.CloseSlow: 4100, broker.CloseTerminated: 4009,
	} {
		code, text := protocol7.Close(reason)
		assert.Equal(t, want, code)
		assert.LessOrEqual(t, len(text), 123)
	}
}

func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "plain", "\"\\\b\f\n\r\t\x00\x7f", "ü😀\u2028", "\xff\xc0\x80", "a\xe2\x82", "a\ufffdb"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		encoded := appendString(nil, data)
		assert.Equal(t, string(encoded), string(appendString(nil, string(data))))
		var back string
		require.NoError(t, json.Unmarshal(encoded, &back), "%q", encoded)
		// encoding/json replaces bytes that are not UTF-8 in the same way.
		wanted, err := json.Marshal(string(data))
		require.NoError(t, err)
		var want string
		require.NoError(t, json.Unmarshal(wanted, &want))
		require.Equal(t, want, back)
	})
}

func TestEncodingAllocatesOnlyTheMessage(t *testing.T) {
	ev := &broker.Event{Name: "message", Channel: "room", Data: []byte(`{"text":"hello, this is a message","n":1}`)}
	assert.LessOrEqual(t, alloctest.PerRun(100, func() { eventMessage(ev) }), 2.0)
}

func BenchmarkEncodeEvent(b *testing.B) {
	ev := &broker.Event{Name: "message", Channel: "room", Data: bytes.Repeat([]byte(`{"k":1}`), 14)}
	b.SetBytes(int64(len(ev.Data)))
	b.ReportAllocs()
	for b.Loop() {
		eventMessage(ev)
	}
}
