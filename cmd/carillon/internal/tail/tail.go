// Package tail is the command carillon tail: a client of the protocol that prints what
// it gets, stays connected as browsers' clients do, and says when it has missed something.
package tail

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/carillon-rt/carillon/cmd/carillon/internal/client"
)

const (
	// answerTimeout is how long a server may take to answer all subscriptions.
	answerTimeout = 15 * time.Second
	// settled is how long a connection lasts that worked: the next failure is a first one.
	settled = 10 * time.Second
	// minDelay and maxDelay bound the wait before another try.
	minDelay, maxDelay = time.Second, 30 * time.Second
	// maxSockets is how many earlier connections a server is told of.
	maxSockets = 5
)

// tail is the state that outlives a connection.
type tail struct {
	app      *client.App
	version  string
	user     string // whom to sign in as, JSON; empty for nobody
	member   string
	channels []*channel
	printer  printer
	sockets  []string // earlier connections, the latest first
	failures int      // connections in a row that did not last
	// established is since when the connection is there; zero if it is not.
	established time.Time
	// pause waits; a test has its own.
	pause func(context.Context, time.Duration) error
}

// channel is what is known of one.
type channel struct {
	name string
	// position is up to where it was printed; empty where the server gives none.
	position string
	// answered says that this connection is subscribed, seen that some connection was.
	answered, seen bool
	// last is when the channel was last known to be whole.
	last time.Time
}

// refusedError is a refusal that another try does not change.
type refusedError struct{ reason string }

// Error implements error.
func (e *refusedError) Error() string { return e.reason }

var (
	errUnanswered = fmt.Errorf("the server did not answer every subscription within %s", answerTimeout)
	errLater      = errors.New("the server cannot subscribe at the moment")
)

// run connects again and again until the context ends, which is no error.
func (t *tail) run(ctx context.Context) error {
	for {
		t.established = time.Time{}
		err := t.connect(ctx)
		if ctx.Err() != nil {
			return nil
		}
		var refused *refusedError
		var output *outputError
		if errors.As(err, &refused) || errors.As(err, &output) {
			return err
		}
		next := client.After(err)
		if next == client.OverTLS {
			if t.app.Socket.Scheme == "https" {
				next = client.GiveUp
			} else {
				t.app.Socket.Scheme = "https"
			}
		}
		if next == client.GiveUp {
			return err
		}
		if !t.established.IsZero() && time.Since(t.established) >= settled {
			t.failures = 0
		}
		delay := t.delay(next)
		t.failures++
		text := fmt.Sprintf("%v; connecting again in %s", err, delay.Round(100*time.Millisecond))
		if delay == 0 {
			text = fmt.Sprintf("%v; connecting again", err)
		}
		if next == client.OverTLS {
			text += ", with TLS"
		}
		if err := t.say(line{Type: kindDisconnected, Text: text}); err != nil {
			return err
		}
		if t.pause(ctx, delay) != nil {
			return nil
		}
	}
}

// delay is how long to wait before the next connection: twice as long each time, and spread
// so that many who were cut off together do not come back together.
func (t *tail) delay(next client.Next) time.Duration {
	if next != client.BackOff && t.failures == 0 {
		return 0
	}
	longest := min(maxDelay, 2*minDelay<<min(t.failures, 10))
	return minDelay + rand.N(longest-minDelay)
}

// connect makes one connection and prints what comes in until it ends.
func (t *tail) connect(ctx context.Context) error {
	s, err := client.Dial(ctx, t.app, "carillon-tail", t.version)
	if err != nil {
		return err
	}
	t.established = time.Now()
	for _, c := range t.channels {
		c.answered = false
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	impatient := time.AfterFunc(answerTimeout, func() { cancel(errUnanswered) })
	defer impatient.Stop()
	if err := t.begin(ctx, s); err != nil {
		s.Close()
		return err
	}
	err = s.Run(ctx, func(f client.Frame) error { return t.handle(ctx, s, f, impatient) })
	t.sockets = append([]string{s.ID}, t.sockets[:min(len(t.sockets), maxSockets-1)]...)
	if n := s.Malformed.Load(); n > 0 {
		err = errors.Join(err, t.say(line{Type: kindWarning, Text: fmt.Sprintf("passed over %d messages that were not of the protocol", n)}))
	}
	return err
}
