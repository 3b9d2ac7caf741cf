package transporttest

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/transport"
)

func checkFullQueue(s *suite) {
	p := s.connect(nil)
	_, full := p.fill()
	require.Equal(s, s.config.QueueMessages, full.MessageLimit)
	require.Equal(s, s.config.QueueBytes, full.ByteLimit)
	require.LessOrEqual(s, full.Messages, full.MessageLimit)
	require.LessOrEqual(s, full.Bytes, full.ByteLimit)
	require.True(s, full.Messages == full.MessageLimit || full.Bytes+fillBytes+1<<10 > full.ByteLimit,
		"neither bound is reached: %v", full)
}

// checkRoom sees that what Queue has room for is taken.
func checkRoom(s *suite) {
	p := s.connect(nil)
	q := p.conn.Queue()
	require.Equal(s, s.config.QueueMessages, q.MessageLimit)
	require.Equal(s, s.config.QueueBytes, q.ByteLimit)
	text := noise(fillBytes)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		// What waits only gets less until the message is sent.
		q, m := p.conn.Queue(), numbered(0, text)
		room := q.Add(m)
		err := p.conn.Send(m)
		if !room && err != nil {
			require.ErrorIs(s, err, transport.ErrSlow)
			return
		}
		require.NoError(s, err, "there was room: %+v", q)
	}
	require.FailNow(s, "the queue of a peer that does not read was never full")
}

// checkBudget fills two queues that have room enough, but not in one budget.
func checkBudget(s *suite) {
	if s.config.Budget == nil {
		return
	}
	peers := [2]*peer{s.connect(nil), s.connect(nil)}
	text := noise(fillBytes)
	for deadline := time.Now().Add(patience); s.config.Budget.Stats().Cut == 0 && time.Now().Before(deadline); {
		for _, p := range peers {
			if err := p.conn.Send(numbered(0, text)); err != nil && !errors.Is(err, transport.ErrClosed) {
				require.ErrorIs(s, err, transport.ErrSlow)
			}
		}
	}
	s.config.Budget.Wait()
	stats := s.config.Budget.Stats()
	require.EqualValues(s, 1, stats.Cut, "%+v", stats)
	cut, left := peers[0], peers[1]
	select {
	case e := <-cut.closed:
		cut.closed <- e
	case e := <-left.closed:
		left.closed <- e
		cut, left = left, cut
	case <-time.After(patience):
		require.FailNow(s, "nothing has ended")
	}
	require.ErrorIs(s, cut.endedWith(transport.StatusAbnormal).err, transport.ErrBudget)
	require.LessOrEqual(s, s.config.Budget.Stats().Bytes, int64(s.config.QueueBytes)+transport.BudgetAllowance)
	require.Contains(s, left.next(), "0 ")
	left.conn.Close(4000, "")
	left.rest()
	left.endedWith(4000)
	// Closed need not wait until what is queued is written.
	require.Eventually(s, func() bool { return s.config.Budget.Stats().Queues == 0 }, patience, time.Millisecond)
}

// checkDefaultBounds sees that a bound of 0 leaves the default, and the other one
// as it is.
func checkDefaultBounds(s *suite) {
	q := s.connect(nil).conn.Queue()
	want := s.config
	if want.QueueMessages == 0 {
		want.QueueMessages = transport.DefaultQueueMessages
	}
	if want.QueueBytes == 0 {
		want.QueueBytes = transport.DefaultQueueBytes
	}
	require.Equal(s, want.QueueMessages, q.MessageLimit)
	require.Equal(s, want.QueueBytes, q.ByteLimit)
}

// checkNoGap sees that what was refused is all that is missing.
func checkNoGap(s *suite) {
	p := s.connect(nil)
	taken, _ := p.fill()
	for i := range taken {
		number, _, _ := strings.Cut(p.next(), " ")
		require.Equal(s, strconv.Itoa(i), number)
	}
	p.send("room again")
	require.Equal(s, "room again", p.next())
}

// checkFullThenClose closes a connection whose peer does not read: it ends.
func checkFullThenClose(s *suite) {
	p := s.connect(nil)
	p.fill()
	p.promptly("Close", func() { p.conn.Close(4100, "too slow") })
	p.endedWith(4100)
}

func checkOverLimit(s *suite) {
	p := s.connect(nil)
	err := p.conn.Send(numbered(0, noise(2*s.config.QueueBytes)))
	require.ErrorIs(s, err, transport.ErrSlow)
	p.send("smaller")
	require.Equal(s, "smaller", p.next())
}

func checkSlowPeer(s *suite) {
	slow, fast := s.connect(nil), s.connect(nil)
	slow.fill()
	for range 200 {
		fast.send("on")
		require.Equal(s, "on", fast.next())
	}
	fast.conn.Close(4000, "")
	fast.rest()
	fast.endedWith(4000)
	require.Empty(s, slow.closed)
}

// checkHalfOpen closes connections whose peers do nothing any more.
func checkHalfOpen(s *suite) {
	idle, behind := s.connect(nil), s.connect(nil)
	behind.fill()
	idle.promptly("Close", func() { idle.conn.Close(4200, "restart") })
	behind.promptly("Close", func() { behind.conn.Close(4201, "restart") })
	idle.endedWith(4200)
	behind.endedWith(4201)
}
