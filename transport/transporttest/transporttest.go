// Package transporttest checks that a transport keeps the promises of package
// transport: order, back-pressure, one call of Closed, and no goroutine left behind.
//
// It tests the seam, not the wire: frames and malformed input are the
// transport's own to test, and so is speed. A transport of your own passes it
// from one test:
//
//	func TestTransport(t *testing.T) {
//		transporttest.Run(t, func(t testing.TB, c transporttest.Config) transporttest.Harness {
//			return newHarness(t, c)
//		})
//	}
package transporttest

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/carillon-rt/carillon/transport"
)

// Config is how a factory is to set up its transport.
type Config struct {
	// QueueMessages and QueueBytes bound what may wait for one peer; 0 leaves the
	// defaults of package transport.
	QueueMessages, QueueBytes int
	// Timeout is how long a peer may neither read nor answer before it is cut
	// off, where the transport has such bounds.
	Timeout time.Duration
	// Budget is that of the queues; nil is none.
	Budget *transport.Budget
}

// MaxMessage is the size in bytes of the largest message that a client sends.
const MaxMessage = 32 << 10

// Factory returns a new harness.
type Factory func(t testing.TB, c Config) Harness

// Harness is a transport with all that its clients need, such as a server.
type Harness interface {
	// Connect connects a new client. The transport must have called open with
	// its end of the connection when Connect returns.
	Connect(t testing.TB, open transport.Open) Client
	// Close cuts what is still open, waits until all receivers' Closed has been called,
	// and leaves no goroutine behind. It is called once.
	Close()
}

// Client is the peer's end of a connection. The suite calls Receive from one
// goroutine at a time, and its other methods from any.
type Client interface {
	// Send sends a message. It need not wait until the message has arrived.
	Send(data []byte) error
	// Receive waits for the next message. It returns an error when ctx ends,
	// which may end the connection too, and when the connection has ended.
	//
	// A client must not read far ahead of Receive: as long as that is not
	// called, what is sent to it has to pile up in the transport.
	Receive(ctx context.Context) ([]byte, error)
	// Close ends the connection with a code and a reason, and returns without
	// waiting for Closed. Code transport.StatusAbnormal ends it without a word.
	Close(code int, reason string)
	// CloseStatus is what the connection ended with, once Receive has returned
	// an error because of that.
	CloseStatus() (code int, reason string)
}

// Wordless is implemented by harnesses whose clients cannot send a close code: they
// vanish, and Closed gets transport.StatusAbnormal.
type Wordless interface{ Wordless() }

// OneWay is implemented by harnesses whose clients cannot send. What needs messages of
// clients is not checked.
type OneWay interface{ OneWay() }

// Budgetless is implemented by harnesses whose transport has no transport.Budget. What
// needs one is not checked.
type Budgetless interface{ Budgetless() }

// patience bounds every wait of the suite.
const patience = 30 * time.Second

// defaults is the configuration of the checks that ask for no other.
var defaults = Config{
	QueueMessages: transport.DefaultQueueMessages,
	QueueBytes:    transport.DefaultQueueBytes,
	Timeout:       10 * time.Second,
}

// check is one promise.
type check struct {
	name   string
	config Config
	run    func(s *suite)
	// talks says that the check needs a client that sends.
	talks bool
}

func checks() []check {
	// A queue that is soon full, so that it is before the time is up.
	hasty := small(defaults.QueueMessages, 512<<10)
	hasty.Timeout = time.Second
	// A budget for one queue and a half.
	together := small(defaults.QueueMessages, 1<<20)
	together.Budget = transport.NewBudget(3 << 19)
	return []check{
		{"ServerMessagesKeepTheirOrder", defaults, checkOrderOut, false},
		{"ClientMessagesKeepTheirOrder", defaults, checkOrderIn, true},
		{"MessagesGoBothWays", defaults, checkBothWays, true},
		{"OneMessageForManyConnections", defaults, checkShared, false},
		{"MessagesOfEverySize", defaults, checkSizes, false},
		{"OpenMaySend", defaults, checkSendInOpen, false},
		{"OpenMayClose", defaults, checkCloseInOpen, false},
		{"Info", defaults, checkInfo, false},
		{"LastReceived", defaults, checkLastReceived, true},
		{"Ping", defaults, checkPing, false},
		{"ReceiveIsNeverConcurrent", defaults, checkSerial, true},
		{"ReceiverThatTakesItsTime", defaults, checkUnread, true},

		{"ServerCloses", defaults, checkServerCloses, false},
		{"ServerClosesWhatItSentArrives", defaults, checkCloseFlushes, false},
		{"ServerClosesInReceive", defaults, checkCloseInReceive, true},
		{"ServerClosesDuringReceive", defaults, checkCloseDuringReceive, true},
		{"FirstCloseCounts", defaults, checkSecondClose, false},
		{"ReceiverPanics", defaults, checkPanic, true},
		{"ReceiverPanicsAtTheEnd", defaults, checkPanicAtTheEnd, false},
		{"ClientCloses", defaults, checkClientCloses, false},
		{"ClientVanishes", defaults, checkClientVanishes, false},
		{"ClientVanishesDuringReceive", hasty, checkGone, true},
		{"BothClose", defaults, checkBothClose, false},
		{"SendAfterClose", defaults, checkSendAfterClose, false},

		{"FullQueueByMessages", small(50, 4<<20), checkFullQueue, false},
		{"FullQueueByBytes", small(transport.DefaultQueueMessages, 1<<20), checkFullQueue, false},
		{"NoBoundInMessagesIsTheDefault", small(0, 64<<10), checkDefaultBounds, false},
		{"NoBoundInBytesIsTheDefault", small(50, 0), checkDefaultBounds, false},
		{"QueueSaysWhatFits", small(50, 1<<20), checkRoom, false},
		{"LargestQueueIsCutOverTheBudget", together, checkBudget, false},
		{"FullQueueIsNeverSkipped", small(50, 4<<20), checkNoGap, false},
		{"FullQueueThenClose", hasty, checkFullThenClose, false},
		{"MessageOverTheLimit", small(50, 64<<10), checkOverLimit, false},
		{"SlowPeerHoldsUpNobody", defaults, checkSlowPeer, false},
		{"HalfOpenPeerIsCutOff", hasty, checkHalfOpen, false},

		{"WatchedMessages", defaults, checkWatched, false},
		{"WatchedMessagesOfAPeerThatVanishes", hasty, checkWatchedVanishes, false},

		{"ConcurrentSend", defaults, checkConcurrentSend, false},
		{"ConcurrentSendAndClose", defaults, checkConcurrentClose, false},
		{"NoGoroutineIsLeft", hasty, checkLeaks, false},
	}
}

func small(messages, bytes int) Config {
	c := defaults
	c.QueueMessages, c.QueueBytes = messages, bytes
	return c
}

// Run runs the suite, each check with a harness of its own, as subtests of t.
func Run(t *testing.T, factory Factory) {
	for _, c := range checks() {
		t.Run(c.name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			s := &suite{T: t, config: c.config}
			s.harness = factory(t, c.config)
			_, s.wordless = s.harness.(Wordless)
			if _, s.oneWay = s.harness.(OneWay); s.oneWay && c.talks {
				s.close()
				return
			}
			if _, none := s.harness.(Budgetless); none {
				s.config.Budget = nil
			}
			defer func() {
				s.close()
				if !t.Failed() {
					goleak.VerifyNone(t, before)
				}
			}()
			c.run(s)
		})
	}
}
