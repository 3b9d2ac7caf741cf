package transporttest

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/transport"
)

// noise returns size bytes of text that compression leaves about as long.
func noise(size int) string {
	raw := make([]byte, size*3/4+3)
	_, _ = rand.NewChaCha8([32]byte{}).Read(raw)
	return base64.StdEncoding.EncodeToString(raw)[:size]
}

// numbered returns a message that starts with a number.
func numbered(n int, text string) *transport.Message {
	return message(strconv.Itoa(n) + " " + text)
}

func checkOrderOut(s *suite) {
	p := s.connect(nil)
	const n = 1000
	for i := range n {
		p.send(strconv.Itoa(i))
	}
	for i := range n {
		require.Equal(s, strconv.Itoa(i), p.next())
	}
}

func checkOrderIn(s *suite) {
	p := s.connect(nil)
	const n = 2000
	for i := range n {
		p.say(strconv.Itoa(i))
	}
	for i := range n {
		require.Equal(s, strconv.Itoa(i), p.heard())
	}
}

func checkBothWays(s *suite) {
	p := s.connect(func(_ transport.Conn, r *receiver) {
		r.receive = func(conn transport.Conn, data []byte) {
			_ = conn.Send(message("echo of " + string(data)))
		}
	})
	for i := range 200 {
		p.say(strconv.Itoa(i))
		require.Equal(s, "echo of "+strconv.Itoa(i), p.next())
	}
}

func checkShared(s *suite) {
	peers := make([]*peer, 20)
	for i := range peers {
		peers[i] = s.connect(nil)
	}
	const n = 100
	for i := range n {
		m := message("message " + strconv.Itoa(i))
		for _, p := range peers {
			require.NoError(s, p.conn.Send(m))
		}
	}
	for _, p := range peers {
		for i := range n {
			require.Equal(s, "message "+strconv.Itoa(i), p.next())
		}
	}
}

func checkSizes(s *suite) {
	p := s.connect(nil)
	for _, size := range []int{1, 2, 125, 126, 127, 4095, 4096, 4097, 8192, MaxMessage, 65535, 65536, 65537, 1 << 20} {
		text := strings.Repeat("Größe ", size/8+1)[:size]
		text = strings.ToValidUTF8(text, "?")
		p.send(text)
		p.send("after " + strconv.Itoa(size))
		require.True(s, text == p.next(), "message of %d bytes is not what was sent", size)
		require.Equal(s, "after "+strconv.Itoa(size), p.next())
		if len(text) > MaxMessage || s.oneWay {
			continue
		}
		p.say(text)
		require.True(s, text == p.heard(), "message of %d bytes is not what the client sent", size)
	}
}

func checkSendInOpen(s *suite) {
	p := s.connect(func(conn transport.Conn, _ *receiver) {
		require.NoError(s, conn.Send(message("welcome")))
	})
	p.send("second")
	require.Equal(s, "welcome", p.next())
	require.Equal(s, "second", p.next())
}

func checkInfo(s *suite) {
	p := s.connect(nil)
	info := p.conn.Info()
	require.NotEmpty(s, info.Transport)
	p.client.Close(transport.StatusAbnormal, "")
	p.ended()
	require.Equal(s, info, p.conn.Info(), "Info does not change")
}

func checkLastReceived(s *suite) {
	before := time.Now().Add(-time.Second)
	p := s.connect(nil)
	first := p.conn.LastReceived()
	require.True(s, first.After(before), "a new connection has just been heard of, not at %v", first)
	// The clock of a machine may be coarse.
	time.Sleep(20 * time.Millisecond)
	p.say("hello")
	p.heard()
	require.True(s, p.conn.LastReceived().After(first), "a message has just come in")
	require.False(s, p.conn.LastReceived().After(time.Now().Add(time.Second)))
}

// checkUnread sees that a client that is not read, since Receive runs, is not taken
// for silent, and that all that needs no reading goes on.
func checkUnread(s *suite) {
	entered, proceed := make(chan struct{}), make(chan struct{})
	p := s.connect(func(_ transport.Conn, r *receiver) {
		r.receive = func(transport.Conn, []byte) {
			close(entered)
			<-proceed
		}
	})
	var said sync.WaitGroup
	said.Go(func() { _ = p.client.Send([]byte("anything")) })
	<-entered
	during := time.Now()
	require.Eventually(s, func() bool { return p.conn.LastReceived().After(during) }, patience, time.Millisecond)
	during = time.Now()
	p.send("meanwhile")
	require.Equal(s, "meanwhile", p.next())
	close(proceed)
	said.Wait()
	p.heard()
	require.Eventually(s, func() bool { return !p.busy.Load() }, patience, time.Millisecond)
	require.False(s, p.conn.LastReceived().Before(during), "the time of Receive does not count")
	p.conn.Close(4000, "")
	p.rest()
	p.endedWith(4000)
}

// checkPing sees that a client that says nothing gives a sign of life when it is
// asked for one, if the transport can ask.
func checkPing(s *suite) {
	p := s.connect(nil)
	pinger, ok := p.conn.(transport.Pinger)
	if !ok {
		return
	}
	before := p.conn.LastReceived()
	time.Sleep(20 * time.Millisecond) // the clock of a machine may be coarse
	p.promptly("Ping", pinger.Ping)
	p.send("behind it") // who receives that has seen the ping
	require.Equal(s, "behind it", p.next())
	require.Eventually(s, func() bool { return p.conn.LastReceived().After(before) }, patience, time.Millisecond)
	p.conn.Close(4000, "")
	p.promptly("Ping", pinger.Ping)
	require.Empty(s, p.rest())
	p.endedWith(4000)
}

// checkSerial relies on the receiver, which fails when it is called twice at a
// time; several goroutines of the client give it the occasion.
func checkSerial(s *suite) {
	p := s.connect(func(_ transport.Conn, r *receiver) {
		r.receive = func(transport.Conn, []byte) { time.Sleep(100 * time.Microsecond) }
	})
	const senders, each = 4, 100
	var all sync.WaitGroup
	for i := range senders {
		all.Go(func() {
			for j := range each {
				_ = p.client.Send(fmt.Appendf(nil, "%d %d", i, j))
			}
		})
	}
	all.Wait()
	last := map[string]int{}
	for range senders * each {
		who, what, _ := strings.Cut(p.heard(), " ")
		n, err := strconv.Atoi(what)
		require.NoError(s, err)
		require.Equal(s, last[who], n, "messages of one goroutine keep their order")
		last[who]++
	}
}

func checkConcurrentSend(s *suite) {
	p := s.connect(nil)
	const senders, each = 8, 300
	var all sync.WaitGroup
	for i := range senders {
		all.Go(func() {
			for j := range each {
				_ = p.conn.Send(message(fmt.Sprintf("%d %d", i, j)))
			}
		})
	}
	last := map[string]int{}
	for range senders * each {
		who, what, _ := strings.Cut(p.next(), " ")
		require.Equal(s, strconv.Itoa(last[who]), what)
		last[who]++
	}
	all.Wait()
}
