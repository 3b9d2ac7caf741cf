package websocket

import (
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestQueue(t *testing.T) {
	chunks := &sync.Pool{New: func() any { return new(chunk) }}
	rapid.Check(t, func(t *rapid.T) {
		var q queue
		var model [][]byte
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				for range rapid.IntRange(1, 25).Draw(t, "n") {
					frame := []byte{byte(len(model))}
					q.push(chunks, frame)
					model = append(model, frame)
				}
			},
			"pop": func(t *rapid.T) {
				for range rapid.IntRange(0, len(model)).Draw(t, "n") {
					require.Equal(t, model[0], q.front())
					q.pop(chunks)
					model = model[1:]
				}
			},
			"": func(t *rapid.T) {
				require.Equal(t, len(model), int(q.count))
				require.True(t, slices.EqualFunc(model, slices.Collect(q.all), slices.Equal))
				if q.count == 0 {
					require.Zero(t, q, "an empty queue holds no memory")
				}
			},
		})
	})
}

// TestBatches sees that whatever a socket takes at a time, what leaves is what
// was queued.
func TestBatches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newServer(t)
		c := &conn{server: s, flusher: s.flushers[0], format: textFrames}
		c.writing = true // so that nobody else is
		buf := make([]byte, 0, rapid.IntRange(1, 40).Draw(t, "limit"))
		var queued, written []byte
		messages := 0
		t.Repeat(map[string]func(*rapid.T){
			"queue": func(t *rapid.T) {
				first := rapid.SampledFrom([]byte{finText, finText, finPong}).Draw(t, "kind")
				frame := appendFrame(nil, first, make([]byte, rapid.IntRange(0, 60).Draw(t, "size")))
				for i := range frame[2:] {
					frame[2+i] = byte(len(queued) + i)
				}
				if isMessage(frame) {
					messages++
				} else {
					c.ponging = true
				}
				queued = append(queued, frame...)
				c.mu.Lock()
				c.enqueue(frame)
			},
			"write": func(t *rapid.T) {
				data := c.gather(buf, false)
				require.LessOrEqual(t, len(data), cap(buf))
				n := rapid.IntRange(0, len(data)).Draw(t, "taken")
				written = append(written, data[:n]...)
				require.Equal(t, len(written) < len(queued), c.wrote(n, &s.counters.out, false))
			},
			"": func(t *rapid.T) {
				require.True(t, slices.Equal(queued[:len(written)], written))
				require.Equal(t, len(queued)-len(written), c.size)
			},
		})
		for c.size > 0 {
			data := c.gather(buf, false)
			written = append(written, data...)
			c.wrote(len(data), &s.counters.out, false)
		}
		require.True(t, slices.Equal(queued, written))
		require.EqualValues(t, messages, s.Stats().MessagesOut)
		require.False(t, c.ponging)
	})
}
