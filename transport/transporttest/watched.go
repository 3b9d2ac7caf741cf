package transporttest

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"
)

// watch counts what it is told.
type watch struct{ written, dropped atomic.Int64 }

func (w *watch) Written() { w.written.Add(1) }
func (w *watch) Dropped() { w.dropped.Add(1) }

// eventually waits for a condition.
func (s *suite) eventually(why string, is func() bool) {
	s.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		require.True(s, time.Now().Before(deadline), why)
	}
}

// checkWatched sends some messages with a watch among others.
func checkWatched(s *suite) {
	peers := []*peer{s.connect(nil), s.connect(nil)}
	watches := make([]*watch, 40)
	for i := range watches {
		m := message(strconv.Itoa(i))
		if i%3 == 0 {
			watches[i] = new(watch)
			m = m.Watched(watches[i])
		}
		for _, p := range peers {
			require.NoError(s, p.conn.Send(m))
		}
	}
	for _, p := range peers {
		for i := range watches {
			require.Equal(s, strconv.Itoa(i), p.next())
		}
	}
	for i, w := range watches {
		if w != nil {
			s.eventually("watch "+strconv.Itoa(i)+" is told of both connections", func() bool { return w.written.Load() == 2 })
			require.Zero(s, w.dropped.Load())
		}
	}
}

// checkWatchedVanishes fills the queue of a client that then goes: each watch is told once.
func checkWatchedVanishes(s *suite) {
	p := s.connect(nil)
	text := noise(fillBytes)
	var watches []*watch
	for {
		w := new(watch)
		if p.conn.Send(numbered(len(watches), text).Watched(w)) != nil {
			break
		}
		watches = append(watches, w)
	}
	p.client.Close(1006, "")
	p.ended()
	var dropped int64
	for i, w := range watches {
		s.eventually("watch "+strconv.Itoa(i)+" is told", func() bool { return w.written.Load()+w.dropped.Load() > 0 })
		require.EqualValues(s, 1, w.written.Load()+w.dropped.Load())
		dropped += w.dropped.Load()
	}
	require.Positive(s, dropped)
}
