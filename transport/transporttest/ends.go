package transporttest

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/transport"
)

// status checks what the client was told, after rest.
func (p *peer) status(code int, reason string) {
	p.t.Helper()
	gotCode, gotReason := p.client.CloseStatus()
	require.Equal(p.t, code, gotCode, "code that the client got")
	require.Equal(p.t, reason, gotReason, "reason that the client got")
}

func checkServerCloses(s *suite) {
	p := s.connect(nil)
	p.conn.Close(4100, "come again")
	require.Empty(s, p.rest())
	p.status(4100, "come again")
	p.endedWith(4100)
}

func checkCloseFlushes(s *suite) {
	p := s.connect(nil)
	const n = 1000
	text := noise(500)
	for i := range n {
		require.NoError(s, p.conn.Send(numbered(i, text)))
	}
	p.conn.Close(4000, "flushed")
	require.Len(s, p.rest(), n)
	p.status(4000, "flushed")
	p.endedWith(4000)
}

func checkCloseInOpen(s *suite) {
	p := s.connect(func(conn transport.Conn, _ *receiver) {
		_ = conn.Send(message("no"))
		conn.Close(4009, "refused")
	})
	require.Equal(s, []string{"no"}, p.rest())
	p.status(4009, "refused")
	p.endedWith(4009)
}

func checkCloseInReceive(s *suite) {
	p := s.connect(func(_ transport.Conn, r *receiver) {
		r.receive = func(conn transport.Conn, _ []byte) {
			_ = conn.Send(message("last"))
			conn.Close(4301, "enough")
			assert.False(s, r.over.Load(), "Closed was called during Receive")
		}
	})
	p.say("anything")
	require.Equal(s, []string{"last"}, p.rest())
	p.status(4301, "enough")
	p.endedWith(4301)
}

// checkCloseDuringReceive relies on the receiver to see an overlap, too.
func checkCloseDuringReceive(s *suite) {
	entered, proceed := make(chan struct{}), make(chan struct{})
	p := s.connect(func(_ transport.Conn, r *receiver) {
		r.receive = func(_ transport.Conn, data []byte) {
			if string(data) == "anything" {
				close(entered)
				<-proceed
			}
		}
	})
	// A transport without sockets may call Receive from within Send.
	var said sync.WaitGroup
	said.Go(func() { _ = p.client.Send([]byte("anything")) })
	<-entered
	said.Go(func() { _ = p.client.Send([]byte("more")) })
	time.Sleep(20 * time.Millisecond) // so that it is likely to be there
	p.conn.Close(4000, "")
	close(proceed)
	said.Wait()
	p.rest()
	p.endedWith(4000)
	require.Len(s, p.received, 1, "nothing is handed over after Close")
}

// checkPanic sees that a receiver that panics takes down its own connection, and
// nothing else.
func checkPanic(s *suite) {
	other := s.connect(nil)
	p := s.connect(func(_ transport.Conn, r *receiver) {
		r.receive = func(transport.Conn, []byte) {
			r.busy.Store(false)
			panic("receiver of the suite")
		}
	})
	_ = p.client.Send([]byte("anything"))
	p.rest()
	code, _ := p.client.CloseStatus()
	require.Equal(s, transport.StatusInternal, code, "code that the client got")
	var panicked *transport.PanicError
	require.ErrorAs(s, p.endedWith(transport.StatusInternal).err, &panicked)
	require.Equal(s, "receiver of the suite", panicked.Value)
	other.say("still here")
	require.Equal(s, "still here", other.heard())
}

// checkPanicAtTheEnd sees that a receiver that panics when it is told of the end
// takes nothing else down.
func checkPanicAtTheEnd(s *suite) {
	panics := func(_ transport.Conn, r *receiver) {
		r.end = func() { panic("end of the suite's receiver") }
	}
	p := s.connect(panics)
	p.conn.Close(4000, "server")
	p.rest()
	p.endedWith(4000)
	p = s.connect(panics)
	p.client.Close(1000, "client")
	p.endedWith(s.codeFor(1000))
	other := s.connect(nil)
	other.send("still here")
	require.Equal(s, "still here", other.next())
}

func checkSecondClose(s *suite) {
	p := s.connect(nil)
	p.conn.Close(4001, "first")
	p.conn.Close(4002, "second")
	p.rest()
	p.conn.Close(4003, "third")
	p.status(4001, "first")
	p.endedWith(4001)
}

func checkClientCloses(s *suite) {
	peers := make(map[int]*peer)
	for _, code := range []int{1000, 1001, 3000, 4999} {
		p := s.connect(nil)
		peers[code] = p
		if !s.oneWay {
			p.say("goodbye")
		}
		p.client.Close(code, "no more")
	}
	for code, p := range peers {
		if !s.oneWay {
			require.Equal(s, "goodbye", p.heard())
		}
		if end := p.endedWith(s.codeFor(code)); !s.wordless {
			require.NoError(s, end.err)
		}
	}
}

func checkClientVanishes(s *suite) {
	p := s.connect(nil)
	if !s.oneWay {
		p.say("hello")
		p.heard()
	}
	p.client.Close(transport.StatusAbnormal, "")
	p.endedWith(transport.StatusAbnormal)
}

// checkGone sees that a receiver which is busy hears of the end, once the transport
// can know: at the latest when it has nobody to write to.
func checkGone(s *suite) {
	entered, gone := make(chan struct{}), make(chan struct{})
	p := s.connect(func(_ transport.Conn, r *receiver) {
		r.receive = func(transport.Conn, []byte) {
			close(entered)
			<-gone
		}
		r.gone = func() { close(gone) }
	})
	var said sync.WaitGroup
	said.Go(func() { _ = p.client.Send([]byte("anything")) })
	<-entered
	p.client.Close(transport.StatusAbnormal, "")
	for deadline := time.Now().Add(patience); ; {
		_ = p.conn.Send(message("anybody?"))
		select {
		case <-gone:
			said.Wait()
			p.endedWith(transport.StatusAbnormal)
			return
		case <-time.After(time.Millisecond):
			require.True(s, time.Now().Before(deadline), "Gone was not called")
		}
	}
}

func checkBothClose(s *suite) {
	var peers []*peer
	for range 20 {
		p := s.connect(nil)
		peers = append(peers, p)
		var both sync.WaitGroup
		both.Go(func() { p.conn.Close(4001, "server") })
		both.Go(func() { p.client.Close(4002, "client") })
		both.Wait()
	}
	for _, p := range peers {
		p.rest()
		require.Contains(s, []int{4001, s.codeFor(4002)}, p.ended().code)
	}
}

func checkSendAfterClose(s *suite) {
	p := s.connect(nil)
	p.conn.Close(4000, "")
	require.ErrorIs(s, p.conn.Send(message("late")), transport.ErrClosed)
	require.Empty(s, p.rest())
	p.endedWith(4000)
	require.ErrorIs(s, p.conn.Send(message("late")), transport.ErrClosed)

	p = s.connect(nil)
	p.client.Close(1000, "")
	p.endedWith(s.codeFor(1000))
	require.ErrorIs(s, p.conn.Send(message("late")), transport.ErrClosed)
	p.conn.Close(4000, "") // does nothing
}

// checkConcurrentClose sees that what Send has taken arrives, whoever closes
// in between, and nothing else.
func checkConcurrentClose(s *suite) {
	for range 20 {
		p := s.connect(nil)
		const senders = 4
		var taken [senders]atomic.Int64
		var all sync.WaitGroup
		for i := range senders {
			all.Go(func() {
				for j := range 2000 {
					if p.conn.Send(message(fmt.Sprintf("%d %d", i, j))) != nil {
						return
					}
					taken[i].Add(1)
				}
			})
		}
		for range 3 {
			all.Go(func() {
				time.Sleep(time.Millisecond)
				p.conn.Close(4000, "enough")
			})
		}
		got := map[string]bool{}
		for _, m := range p.rest() {
			got[m] = true
		}
		all.Wait()
		total := 0
		for i := range senders {
			n := int(taken[i].Load())
			total += n
			for j := range n {
				require.True(s, got[strconv.Itoa(i)+" "+strconv.Itoa(j)], "message %d of sender %d was taken, and lost", j, i)
			}
		}
		require.Len(s, got, total)
		p.endedWith(4000)
	}
}

// checkLeaks leaves connections in every state; Run sees what is left.
func checkLeaks(s *suite) {
	for i := range 40 {
		p := s.connect(nil)
		switch i % 5 {
		case 0: // open, and idle
		case 1:
			p.send("something")
		case 2:
			p.conn.Close(4000, "")
		case 3:
			p.client.Close(1000, "")
		case 4:
			p.client.Close(transport.StatusAbnormal, "")
		}
	}
	s.close()
}
