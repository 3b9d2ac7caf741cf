package main

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
	frame := textFrame(bytes.TrimSuffix(b.Bytes(), []byte("\x00\x00\xff\xff")))
	frame[0] |= rsv1
	return frame
}

// stream is what a server could send, and the number of events in it.
func stream(t testing.TB) ([]byte, int) {
	ev := string(payload(filler(payloadBytes), time.Now().Add(-time.Millisecond)))
	var b []byte
	b = append(b, textFrame([]byte(`{"event":"nothing"}`))...)
	b = append(b, textFrame([]byte(ev))...)
	b = append(b, textFrame([]byte(ev+"\n"+ev+"\n"+ev))...)
	b = append(b, textFrame(nil)...)
	b = append(b, textFrame([]byte(strings.Repeat("-", 1<<16)+ev))...)
	b = append(b, deflatedFrame(t, []byte(ev+ev))...)
	b = append(b, deflatedFrame(t, []byte(ev))...)
	return append(b, textFrame(nil)...), 8
}

func TestCounterFindsEventsHoweverTheyAreCut(t *testing.T) {
	in, want := stream(t)
	for _, latency := range []bool{false, true} {
		for _, piece := range []int{1, 2, 3, 7, 64, 1000, 4096, len(in)} {
			var c counter
			if latency {
				c.late = new(histogram)
			}
			got := 0
			for rest := in; len(rest) > 0; {
				n := min(piece, len(rest))
				events, err := c.feed(rest[:n])
				require.NoError(t, err)
				got += events
				rest = rest[n:]
			}
			require.Equal(t, want, got, "pieces of %d bytes", piece)
			require.False(t, c.in)
			if latency {
				late := c.late.quantile(1)
				require.Positive(t, late)
				require.Less(t, late, time.Hour)
			}
		}
	}
}

func TestCounterCountsNoIncompleteFrame(t *testing.T) {
	frame := textFrame(payload(filler(payloadBytes), time.Now()))
	var c counter
	events, err := c.feed(frame[:len(frame)-1])
	require.NoError(t, err)
	require.Zero(t, events)
	events, err = c.feed(frame[len(frame)-1:])
	require.NoError(t, err)
	require.Equal(t, 1, events)
}

func TestCounterSeesTheClose(t *testing.T) {
	var c counter
	_, err := c.feed([]byte{0x88, 2, 3, 0xe8})
	require.ErrorIs(t, err, errClosed)
}

func TestCounterAllocatesNothing(t *testing.T) {
	frame := textFrame(payload(filler(payloadBytes), time.Now()))
	c := counter{late: new(histogram)}
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = c.feed(frame) }))
}

func FuzzCounter(f *testing.F) {
	in, _ := stream(f)
	f.Add(in, 5)
	f.Fuzz(func(t *testing.T, in []byte, piece int) {
		var whole, pieces counter
		want, wantErr := whole.feed(in)
		got, gotErr := 0, error(nil)
		for rest := in; len(rest) > 0 && gotErr == nil; {
			n := min(max(piece, 1), len(rest))
			var events int
			events, gotErr = pieces.feed(rest[:n])
			got += events
			rest = rest[n:]
		}
		require.Equal(t, want, got)
		require.Equal(t, wantErr == nil, gotErr == nil)
	})
}

func TestPayload(t *testing.T) {
	for _, size := range []int{minPayload, payloadBytes, 1 << 10} {
		data := payload(filler(size), time.Now())
		require.Len(t, data, size)
		require.Equal(t, 1, bytes.Count(data, []byte{mark}))
	}
}
