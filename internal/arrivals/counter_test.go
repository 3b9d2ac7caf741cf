package arrivals

import (
	"bytes"
	"compress/flate"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// deflatedFrame is a text frame deflated without context takeover.
func deflatedFrame(t testing.TB, payload []byte) []byte {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	require.NoError(t, err)
	_, err = w.Write(payload)
	require.NoError(t, err)
	require.NoError(t, w.Flush())
	frame := TextFrame(bytes.TrimSuffix(b.Bytes(), []byte("\x00\x00\xff\xff")))
	frame[0] |= Deflated
	return frame
}

// stream is what a server could send, and the number of events in it.
func stream(t testing.TB) ([]byte, int) {
	ev := string(Payload(Filler(100), time.Now().Add(-time.Millisecond)))
	var b []byte
	b = append(b, TextFrame([]byte(`{"event":"nothing"}`))...)
	b = append(b, TextFrame([]byte(ev))...)
	b = append(b, TextFrame([]byte(ev+"\n"+ev+"\n"+ev))...)
	b = append(b, TextFrame(nil)...)
	b = append(b, TextFrame([]byte(strings.Repeat("-", 1<<16)+ev))...)
	b = append(b, deflatedFrame(t, []byte(ev+ev))...)
	b = append(b, deflatedFrame(t, []byte(ev))...)
	return append(b, TextFrame(nil)...), 8
}

func TestCounterFindsEventsHoweverTheyAreCut(t *testing.T) {
	in, want := stream(t)
	for _, latency := range []bool{false, true} {
		for _, piece := range []int{1, 2, 3, 7, 64, 1000, 4096, len(in)} {
			var c Counter
			if latency {
				c.Late = new(Histogram)
			}
			got := 0
			for rest := in; len(rest) > 0; {
				n := min(piece, len(rest))
				events, err := c.Feed(rest[:n])
				require.NoError(t, err)
				got += events
				rest = rest[n:]
			}
			require.Equal(t, want, got, "pieces of %d bytes", piece)
			require.False(t, c.in)
			if latency {
				late := c.Late.Quantile(1)
				require.Positive(t, late)
				require.Less(t, late, time.Hour)
			}
		}
	}
}

func TestCounterCountsNoIncompleteFrame(t *testing.T) {
	frame := TextFrame(Payload(Filler(100), time.Now()))
	var c Counter
	events, err := c.Feed(frame[:len(frame)-1])
	require.NoError(t, err)
	require.Zero(t, events)
	events, err = c.Feed(frame[len(frame)-1:])
	require.NoError(t, err)
	require.Equal(t, 1, events)
}

func TestCounterSeesTheClose(t *testing.T) {
	var c Counter
	_, err := c.Feed([]byte{0x88, 2, 3, 0xe8})
	require.ErrorIs(t, err, ErrClosed)
}

func TestCounterSeesPings(t *testing.T) {
	var pings []string
	c := Counter{Ping: func(payload []byte) { pings = append(pings, string(payload)) }}
	for _, b := range []byte("\x89\x02hi\x89\x00\x89\x01@") {
		events, err := c.Feed([]byte{b})
		require.NoError(t, err)
		require.Zero(t, events)
	}
	require.Equal(t, []string{"hi", "", "@"}, pings)
	_, err := c.Feed([]byte("\x89\x7e\x00\x7e."))
	require.ErrorContains(t, err, "more than 125 bytes")
}

func TestCounterKeepsLittle(t *testing.T) {
	var c Counter
	_, err := c.Feed([]byte("\xc1\x7f\x7f\xff\xff\xff\xff\xff\xff\xff."))
	require.ErrorContains(t, err, "more than 16777216 bytes")
}

func TestCounterAllocatesNothing(t *testing.T) {
	frame := TextFrame(Payload(Filler(100), time.Now()))
	c := Counter{Late: new(Histogram)}
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = c.Feed(frame) }))
}

func FuzzCounter(f *testing.F) {
	in, _ := stream(f)
	f.Add(in, 5)
	f.Fuzz(func(t *testing.T, in []byte, piece int) {
		var whole, pieces Counter
		want, wantErr := whole.Feed(in)
		got, gotErr := 0, error(nil)
		for rest := in; len(rest) > 0 && gotErr == nil; {
			n := min(max(piece, 1), len(rest))
			var events int
			events, gotErr = pieces.Feed(rest[:n])
			got += events
			rest = rest[n:]
		}
		require.Equal(t, want, got)
		require.Equal(t, wantErr == nil, gotErr == nil)
	})
}

func TestPayload(t *testing.T) {
	for _, size := range []int{MinPayload, 100, 1 << 10} {
		data := Payload(Filler(size), time.Now())
		require.Len(t, data, size)
		require.Equal(t, 1, bytes.Count(data, []byte{mark}))
	}
}
