package websocket

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/transport"
)

func text(s string) *transport.Message { return transport.NewMessage([]byte(s)) }

// sendLater uses SendLone until it leaves the message to the caller.
func sendLater(t testing.TB, p *peer, conn transport.LoneSender, s string) {
	for range 100_000 {
		later, err := conn.SendLone(text(s))
		require.NoError(t, err)
		if later {
			return
		}
		p.expect(finText, s)
	}
	t.Fatal("no message was left to the sender")
}

func TestLoneMessageIsTheSenders(t *testing.T) {
	f := newFixture(t)
	p, e := f.raw("")
	conn := e.conn.(transport.LoneSender)
	sendLater(t, p, conn, "lone")
	before := f.server.Stats()
	require.NoError(t, conn.Send(text("behind it")))
	later, err := conn.SendLone(text("and that"))
	require.NoError(t, err)
	require.False(t, later, "the first call is the writer")
	conn.Flush()
	p.expect(finText, "lone")
	p.expect(finText, "behind it")
	p.expect(finText, "and that")
	require.Eventually(t, func() bool { return f.server.Stats().MessagesOut == before.MessagesOut+3 }, patience, time.Millisecond)
}

func TestLoneMessageBeforeClose(t *testing.T) {
	f := newFixture(t)
	p, e := f.raw("")
	conn := e.conn.(transport.LoneSender)
	sendLater(t, p, conn, "lone")
	conn.Close(4000, "over")
	_, err := conn.SendLone(text("too late"))
	require.ErrorIs(t, err, transport.ErrClosed)
	conn.Flush()
	p.expect(finText, "lone")
	code, _ := p.expectClose()
	require.Equal(t, 4000, code)
}

func TestLoneMessageToPeerThatIsGone(t *testing.T) {
	f := newFixture(t)
	p, e := f.raw("")
	conn := e.conn.(transport.LoneSender)
	sendLater(t, p, conn, "lone")
	require.NoError(t, p.Close())
	<-e.closed
	conn.Flush()
	_, err := conn.SendLone(text("too late"))
	require.ErrorIs(t, err, transport.ErrClosed)
}

func TestLoneMessageOverTheBound(t *testing.T) {
	f := newFixture(t, WithQueueLimits(2, 1<<20))
	p, e := f.raw("")
	conn := e.conn.(transport.LoneSender)
	sendLater(t, p, conn, "lone")
	require.NoError(t, conn.Send(text("second")))
	_, err := conn.SendLone(text("third"))
	require.ErrorIs(t, err, transport.ErrSlow)
	conn.Flush()
	p.expect(finText, "lone")
	p.expect(finText, "second")
}

// TestLoneSendersKeepOrder lets several goroutines send in both ways.
func TestLoneSendersKeepOrder(t *testing.T) {
	const senders, each = 4, 500
	f := newFixture(t)
	p, e := f.raw("")
	conn := e.conn.(transport.LoneSender)
	var group sync.WaitGroup
	for s := range senders {
		group.Go(func() {
			for i := range each {
				m := text(fmt.Sprintf("%d %d", s, i))
				if i%3 == 0 {
					if conn.Send(m) != nil {
						return
					}
					continue
				}
				later, err := conn.SendLone(m)
				if err != nil {
					return
				}
				if later {
					conn.Flush()
				}
			}
		})
	}
	next := make([]int, senders)
	for range senders * each {
		frame, err := readFrame(p)
		require.NoError(t, err)
		var s, i int
		_, err = fmt.Sscan(string(frame.payload), &s, &i)
		require.NoError(t, err)
		require.Equal(t, next[s], i)
		next[s]++
	}
	group.Wait()
}

// TestSparingIsBounded sees that who sends all the time leaves the writing to
// flushers.
func TestSparingIsBounded(t *testing.T) {
	f := newFlusher(NewServer())
	begin := time.Now()
	spared := 0
	for range 10_000 {
		if f.spare() {
			spared++
		}
	}
	require.GreaterOrEqual(t, spared, loneBurst)
	require.LessOrEqual(t, spared, loneBurst+1+int(time.Since(begin)/loneEvery))
	f.working.Store(true)
	require.False(t, f.spare())
}
