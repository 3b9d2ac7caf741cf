package pusher

import (
	"fmt"
	"time"

	"github.com/carillon-rt/carillon/ratelimit"
	"github.com/carillon-rt/carillon/transport"
)

// intake is what a connection has used up of the limits on what its client sends.
// Only Receive uses it.
type intake struct {
	messages ratelimit.Bucket
	// weight is what the message at hand counts besides its size.
	weight int
	// unread is how many bytes of answers wait for the client, or more than that.
	unread int
}

const (
	// messageUnit is how many bytes of a message count as one message.
	messageUnit = 4 << 10
	// answerWeight is what a message counts that is answered by an error, a pong or
	// the end of a sign-in. Clients have few of them to send.
	answerWeight = 10
	// paceFor is the least time for which a connection over its rate is not read:
	// what comes meanwhile is handled in one go, and not in a wake-up for each message.
	paceFor = 100 * time.Millisecond
	// maxEcho is the longest name of a channel that an error repeats.
	maxEcho = 1 << 10
)

// pace counts a message that has been handled. Where it was one too many, pace waits
// until the rate allows for it: nothing is read from the client meanwhile, so that
// what it sends stays with its own system, and costs nothing here.
func (c *connection) pace(size int) {
	rate := c.limits.MessagesPerSecond
	if rate == 0 {
		return
	}
	limit := ratelimit.Limit{Rate: float64(rate), Burst: rate}
	cost := min(c.intake.weight+size/messageUnit, rate)
	for {
		d := c.intake.messages.Take(time.Now(), limit, cost)
		if d.OK {
			return
		}
		c.handler.limited.Add(1)
		wait := time.NewTimer(max(d.RetryAfter, paceFor))
		select {
		case <-wait.C:
		case <-c.session.Context().Done():
			wait.Stop()
			return
		}
	}
}

// paid takes a message out of the count that another limit covers: a subscription that
// has succeeded, or its end. A client that reconnects subscribes to all its channels at
// once.
func (c *connection) paid() {
	if c.limits.SubscribesPerSecond > 0 {
		c.intake.weight = 0
	}
}

// answer sends an error or a pong. A client that does not read those before gets none:
// otherwise they would fill the memory.
func (c *connection) answer(m *transport.Message) {
	c.intake.weight = answerWeight
	if limit := c.limits.UnreadAnswerBytes; limit > 0 {
		q := c.conn.Queue()
		size := q.Size(m)
		c.intake.unread = min(c.intake.unread, q.Bytes)
		if c.intake.unread > 0 && c.intake.unread+size > limit {
			c.handler.unread.Add(1)
			return
		}
		c.intake.unread += size
	}
	c.session.Send(m)
}

// refuse sends an error; the connection goes on. A code of 0 is none.
func (c *connection) refuse(code int, message string) {
	c.answer(errorMessage(code, message))
}

// refuseSubscription tells the client on the channel, which is pending on the page
// until then, that it is not subscribed.
func (c *connection) refuseSubscription(channel, kind, text string, status int) {
	c.intake.weight = answerWeight
	if channel == "" || len(channel) > maxEcho {
		c.refuse(0, fmt.Sprintf("subscription refused: %s", text))
		return
	}
	c.session.Send(subscriptionError(channel, kind, text, status))
}
