package broker_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/memory"
	"github.com/carillon-rt/carillon/storage/storagetest"
	"github.com/carillon-rt/carillon/transport"
)

// crowd are clients that come back to a broker whose store is so far away, and counts what
// they cost it.
type crowd struct {
	broker        *broker.Broker
	reads, latest atomic.Int64
	after         []broker.Position // by channel
	missed        int
}

// newCrowd returns a crowd that has missed so many events on each channel.
func newCrowd(t testing.TB, channels, missed int, away time.Duration) *crowd {
	c := &crowd{missed: missed}
	c.broker = newBroker(t, broker.WithChannelRules(broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: 1000}}),
		broker.WithHistory(storagetest.NewFaults(memory.New(), func(call storagetest.Call) (f storagetest.Fault) {
			switch call.Op {
			case storagetest.OpRead:
				c.reads.Add(1)
				f.Wait = away
			case storagetest.OpLatest:
				c.latest.Add(1)
				f.Wait = away
			}
			return f
		})))
	for i := range channels {
		first, err := c.broker.App("1").Publish(t.Context(), channelOf(i), "message", []byte("seen"))
		require.NoError(t, err)
		c.after = append(c.after, first.Position)
		for n := range missed {
			_, err := c.broker.App("1").Publish(t.Context(), channelOf(i), "message", fmt.Append(nil, n))
			require.NoError(t, err)
		}
	}
	return c
}

func channelOf(i int) string { return fmt.Sprint("room-", i) }

// comeBack subscribes a client to a channel where it has left off.
func (c *crowd) comeBack(t testing.TB, channel int, protocol broker.Protocol) *taker {
	conn := new(taker)
	s, err := c.broker.Connect(t.Context(), broker.ConnectOptions{ConnectRequest: broker.ConnectRequest{App: "1"}, Conn: conn, Protocol: protocol})
	if err == nil {
		err = s.Subscribe(t.Context(), broker.SubscribeRequest{Channel: channelOf(channel), After: &c.after[channel], Protocol: protocol})
	}
	if err != nil {
		t.Error(err)
	}
	conn.session = s
	return conn
}

// taker keeps what is sent to it.
type taker struct {
	sink
	session *broker.Session
	got     []*transport.Message
}

// Send implements transport.Conn.
func (c *taker) Send(m *transport.Message) error {
	c.got = append(c.got, m)
	return nil
}

// exact checks that the client got what it has missed, once and in order.
func (c *crowd) exact(t testing.TB, conn *taker) {
	require.Len(t, conn.got, c.missed)
	for n, m := range conn.got {
		require.Equal(t, fmt.Sprint(n), string(m.Payload()))
	}
}

// onlyEvents encodes events, and nothing else.
type onlyEvents struct{ plain }

func (*onlyEvents) Encode(n broker.Notice) *transport.Message {
	if ev, ok := n.(broker.EventNotice); ok {
		return transport.NewMessage(ev.Data)
	}
	return nil
}

// Clients that come back at once cost one read a channel and window, however many they
// are, and one question where the channel is opened.
func TestManyResumesCostFewReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const channels, clients = 4, 400
		c := newCrowd(t, channels, 20, 3*time.Millisecond)
		protocol := &onlyEvents{}
		start := time.Now()
		conns := make([]*taker, clients)
		var all sync.WaitGroup
		for i := range conns {
			all.Go(func() {
				time.Sleep(time.Duration(i) * 200 * time.Microsecond)
				conns[i] = c.comeBack(t, i%channels, protocol)
			})
		}
		all.Wait()
		took := time.Since(start)
		for _, conn := range conns {
			c.exact(t, conn)
			conn.session.End(1000)
		}
		assert.LessOrEqual(t, c.reads.Load(), int64(channels*(1+took/broker.PastWindow)))
		assert.EqualValues(t, channels, c.latest.Load())
		require.NoError(t, c.broker.Shutdown(t.Context()))
	})
}

// Positions that are nobody's cost a read each, but not one after the other.
func TestForgedPositionsDoNotHoldUpOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, 1, 5, 3*time.Millisecond)
		start := time.Now()
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				forged := storage.Position{Epoch: storage.NewEpoch(storage.Epoch{}), Offset: uint64(i)}
				conn := &sink{}
				s, err := c.broker.Connect(t.Context(), broker.ConnectOptions{ConnectRequest: broker.ConnectRequest{App: "1"}, Conn: conn, Protocol: &plain{}})
				assert.NoError(t, err)
				assert.NoError(t, s.Subscribe(t.Context(), broker.SubscribeRequest{Channel: channelOf(0), After: &forged}))
				assert.True(t, conn.gap)
				s.End(1000)
			})
		}
		honest := c.comeBack(t, 0, &onlyEvents{})
		c.exact(t, honest)
		assert.Less(t, time.Since(start), time.Second)
		honest.session.End(1000)
		all.Wait()
		require.NoError(t, c.broker.Shutdown(t.Context()))
	})
}

// BenchmarkManyResumes has 10 000 clients come back at once to 100 channels, where each has
// missed 100 events, on a store that is 1 ms away. It reports how long all of them take,
// and what they cost the store beside what they may: a read for each channel and window.
func BenchmarkManyResumes(b *testing.B) {
	const channels, clients = 100, 10_000
	c := newCrowd(b, channels, 100, time.Millisecond)
	protocol := &onlyEvents{}
	var wall time.Duration
	for b.Loop() {
		conns := make([]*taker, clients)
		c.reads.Store(0)
		c.latest.Store(0)
		start := time.Now()
		var all sync.WaitGroup
		for i := range conns {
			all.Go(func() { conns[i] = c.comeBack(b, i%channels, protocol) })
		}
		all.Wait()
		took := time.Since(start)
		wall += took
		if most := int64(channels * (1 + took/broker.PastWindow)); c.reads.Load()+c.latest.Load() > most {
			b.Fatalf("%d reads and %d questions in %v, at most %d are due", c.reads.Load(), c.latest.Load(), took, most)
		}
		b.StopTimer()
		for _, conn := range conns {
			c.exact(b, conn)
			conn.session.End(1000)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(wall.Milliseconds())/float64(b.N), "ms/10000-resumes")
	b.ReportMetric(float64(c.reads.Load()), "reads")
	b.ReportMetric(float64(c.latest.Load()), "questions")
}

// A position that is anybody's invention is looked for again and again, and nobody else waits
// for that.
func TestAnInventedPositionHoldsUpNobody(t *testing.T) {
	const window = 10 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t, 1, 3, 0)
		protocol := new(onlyEvents)
		invented := c.after[0]
		invented.Offset += 1000
		s, err := c.broker.Connect(t.Context(), broker.ConnectOptions{ConnectRequest: broker.ConnectRequest{App: "1"}, Conn: new(taker), Protocol: protocol})
		require.NoError(t, err)
		ended := make(chan error)
		go func() {
			ended <- s.Subscribe(t.Context(), broker.SubscribeRequest{Channel: channelOf(0), After: &invented, Protocol: protocol})
		}()
		for range 5 {
			time.Sleep(window + time.Millisecond)
			began := time.Now()
			honest := c.comeBack(t, 0, protocol)
			assert.LessOrEqual(t, time.Since(began), window)
			c.exact(t, honest)
			honest.session.End(1000)
		}
		<-ended
		s.End(1000)
		require.NoError(t, c.broker.Shutdown(t.Context()))
	})
}
