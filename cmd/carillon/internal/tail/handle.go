package tail

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/carillon-rt/carillon/cmd/carillon/internal/client"
)

// outputError says that nobody takes what is printed.
type outputError struct{ err error }

// Error implements error.
func (e *outputError) Error() string { return "write the output: " + e.err.Error() }

// Unwrap returns why.
func (e *outputError) Unwrap() error { return e.err }

func (t *tail) say(l line) error {
	if err := t.printer.print(l); err != nil {
		return &outputError{err}
	}
	return nil
}

// begin asks for everything on a new connection.
func (t *tail) begin(ctx context.Context, s *client.Socket) error {
	if err := t.say(line{Type: kindConnected, Text: fmt.Sprintf("connected to %s as %s", t.app.Socket.Host, s.ID)}); err != nil {
		return err
	}
	if t.user != "" {
		if err := s.SignIn(ctx, t.user); err != nil {
			return err
		}
	}
	for _, c := range t.channels {
		if !client.IsServerToUser(c.name) {
			if err := t.subscribe(ctx, s, c); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *tail) subscribe(ctx context.Context, s *client.Socket, c *channel) error {
	return s.Subscribe(ctx, client.Subscription{Channel: c.name, Member: t.member, After: c.position, Sockets: t.sockets})
}

// handle takes one message.
func (t *tail) handle(ctx context.Context, s *client.Socket, f client.Frame, impatient *time.Timer) error {
	switch f.Event {
	case "pusher:signin_success":
		for _, c := range t.channels {
			if client.IsServerToUser(c.name) {
				if err := t.subscribe(ctx, s, c); err != nil {
					return err
				}
			}
		}
		return nil
	case "pusher:error":
		return t.complain(f)
	}
	c := t.channel(f.Channel)
	if c == nil {
		// Of the connection, such as a watchlist's events, or of a channel nobody asked for.
		return t.say(line{Type: kindWarning, Channel: f.Channel, Event: f.Event, Data: dataOf(f.Data),
			Text: fmt.Sprintf("got %s, for none of the channels: %s", f.Event, f.Data)})
	}
	switch f.Event {
	case "pusher_internal:subscription_succeeded":
		if err := t.subscribed(c, f); err != nil {
			return err
		}
		if t.allAnswered() {
			impatient.Stop()
		}
		return nil
	case "pusher:subscription_error":
		return t.refused(c, f)
	case "pusher_internal:position":
		c.advance(f)
		return nil
	case "pusher_internal:gap":
		defer c.advance(f)
		return t.say(line{Type: kindGap, Channel: c.name, Text: c.name + ": events were lost, and nobody knows how many"})
	}
	return t.event(c, f)
}

// advance notes that the channel was printed up to this message.
func (c *channel) advance(f client.Frame) {
	c.last = time.Now()
	if f.Position != "" {
		c.position = f.Position
	}
}

func (t *tail) channel(name string) *channel {
	for _, c := range t.channels {
		if c.name == name {
			return c
		}
	}
	return nil
}

func (t *tail) allAnswered() bool {
	for _, c := range t.channels {
		if !c.answered {
			return false
		}
	}
	return true
}

// subscribed takes the success of a subscription, and says whether anything is missing
// since the connection before.
func (t *tail) subscribed(c *channel, f client.Frame) error {
	l := line{Type: kindSubscribed, Channel: c.name, Text: "subscribed to " + c.name + membersOf(f.Data)}
	switch r := f.Resume; {
	case !c.seen:
	case r == nil:
		l.Type, l.Text = kindGap, fmt.Sprintf("%s: back, but this server keeps no positions: what was published since %s is missing",
			c.name, c.last.Format("15:04:05"))
	case r.Status == "resumed":
		l.Type, l.Missed, l.Text = kindResumed, &r.Missed, fmt.Sprintf("%s: resumed, nothing was lost; %d missed events follow", c.name, r.Missed)
	default:
		l.Type, l.Text = kindGap, fmt.Sprintf("%s: back, but not everything since %s is kept: events are missing",
			c.name, c.last.Format("15:04:05"))
	}
	l.Position = f.Position
	if err := t.say(l); err != nil {
		return err
	}
	c.answered, c.seen = true, true
	// A position of before, on a channel that has none now, would be another channel's.
	c.position = ""
	c.advance(f)
	return nil
}

// membersOf says how many members a presence channel has.
func membersOf(data string) string {
	var success struct{ Presence *struct{ Count int } }
	if json.Unmarshal([]byte(data), &success) != nil || success.Presence == nil {
		return ""
	}
	return fmt.Sprintf(", which has %d members", success.Presence.Count)
}

// refused takes the refusal of a subscription.
func (t *tail) refused(c *channel, f client.Frame) error {
	var why struct {
		Error  string
		Status int
	}
	_ = json.Unmarshal([]byte(f.Data), &why) // what it does not say is empty
	if why.Error == "" {
		why.Error = f.Data
	}
	text := fmt.Sprintf("subscription to %s: %s", c.name, client.Printable(why.Error))
	if client.Passes(why.Status) {
		return fmt.Errorf("%w: %s", errLater, text)
	}
	return &refusedError{text}
}

// complain takes an error that leaves the connection open.
func (t *tail) complain(f client.Frame) error {
	message := client.ErrorMessage(f.Data)
	// The hosted service refuses a subscription so, without naming the channel.
	if strings.HasPrefix(message, "Invalid signature") {
		return &refusedError{client.Printable(message) + " (key and secret have to be those of one app)"}
	}
	return t.say(line{Type: kindWarning, Text: "the server says: " + message})
}

// event prints an event, opened where it is sealed.
func (t *tail) event(c *channel, f client.Frame) error {
	data := f.Data
	// What the server says itself on such a channel is not sealed.
	if client.IsEncrypted(c.name) && !strings.HasPrefix(f.Event, "pusher:") && !strings.HasPrefix(f.Event, "pusher_internal:") {
		opened, err := client.Open(c.name, t.app.MasterKey, f.Data)
		if err != nil {
			if err := t.say(line{Type: kindWarning, Channel: c.name, Event: f.Event, Text: fmt.Sprintf("%s: %s: %v", c.name, f.Event, err)}); err != nil {
				return err
			}
		} else {
			data = opened
		}
	}
	if err := t.say(line{Type: kindEvent, Channel: c.name, Event: f.Event, Data: dataOf(data), UserID: f.UserID, Position: f.Position}); err != nil {
		return err
	}
	c.advance(f)
	return nil
}
