package pusher

import (
	"fmt"
	"strings"
	"time"

	"github.com/carillon-rt/carillon/ratelimit"
	"github.com/carillon-rt/carillon/transport"
)

// intake is what a connection has used up of the limits on what its client sends.
// Only Receive uses it.
type intake struct {
	messages ratelimit.Bucket
	told     ratelimit.Bucket // how often the client is told of that
	// unread is how many bytes of answers may still wait for the client: never
	// less than do.
	unread int
}

const (
	// messageUnit is how many bytes of a message count as one message.
	messageUnit = 4 << 10
	// maxEcho is the longest name of a channel that an error repeats.
	maxEcho = 1 << 10
)

// oncePerSecond is how often a client is told that it sends too much, where it
// does not wait for an answer.
var oncePerSecond = ratelimit.Limit{Rate: 1, Burst: 1}

// overRate returns an error for a message that comes too soon.
func (c *connection) overRate(size int, limits *Limits) error {
	if limits.MessagesPerSecond == 0 {
		return nil
	}
	channels := limits.AuthorizedChannelsPerConnection
	if channels == 0 {
		channels = DefaultLimits.AuthorizedChannelsPerConnection
	}
	limit := ratelimit.Limit{Rate: float64(limits.MessagesPerSecond), Burst: limits.MessagesPerSecond + 2*channels}
	cost := 1 + size/messageUnit
	d := c.intake.messages.Take(time.Now(), limit, cost)
	if d.OK {
		return nil
	}
	return &ratelimit.LimitError{Rule: "messages per second", Limit: limit, Cost: cost, RetryAfter: d.RetryAfter}
}

// tooMany answers a message over the rate, which is not heard otherwise. Only
// what takes something from the server is.
func (c *connection) tooMany(f *frame, limited error) {
	c.handler.limited.Add(1)
	switch {
	case f.event == "pusher:unsubscribe":
		c.unsubscribe(*f)
	case f.event == "pusher:subscribe":
		sub, _ := f.subscribe()
		c.refuseSubscription(sub.channel, "LimitReached", limited.Error(), 429)
	case strings.HasPrefix(f.event, "client-"):
		c.refuse(4301, "client event rejected: "+limited.Error())
	case f.event == "pusher:pong":
	case c.intake.told.Take(time.Now(), oncePerSecond, 1).OK:
		c.refuse(0, "message dropped: "+limited.Error())
	}
}

// answer sends what the client can do without, unless it does not read its
// answers: then it would find out how much memory there is for them.
func (c *connection) answer(m *transport.Message) {
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
	if channel == "" || len(channel) > maxEcho {
		c.refuse(0, fmt.Sprintf("subscription refused: %s", text))
		return
	}
	c.session.Send(subscriptionError(channel, kind, text, status))
}
