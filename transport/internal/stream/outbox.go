// Package stream is what the transports that write HTTP responses have in common:
// the bounded queue of a connection, and the end of a server.
package stream

import "github.com/carillon-rt/carillon/transport"

// Outbox is what waits for one client. It is guarded by its connection's lock.
type Outbox struct {
	messages []*transport.Message
	queue    transport.Queue
	account  transport.Account
	slow     bool
	taken    []transport.Watch // of messages that were taken out
}

// Open sets the bounds: those of an empty queue, and the budget it takes part in,
// which may be nil. Holder is the connection.
func (o *Outbox) Open(q transport.Queue, b *transport.Budget, h transport.Holder) {
	o.queue = q
	o.account.Open(b, h)
}

// Add queues m. Without room it returns a *transport.QueueError, and first says
// that it does so for the first time.
func (o *Outbox) Add(m *transport.Message) (first bool, err error) {
	if !o.queue.Add(m) {
		first, o.slow = !o.slow, true
		return first, o.queue.Error()
	}
	o.messages = append(o.messages, m)
	o.account.Set(o.queue.Bytes)
	return false, nil
}

// Queue describes what waits.
func (o *Outbox) Queue() transport.Queue { return o.queue }

// Len is how many messages wait.
func (o *Outbox) Len() int { return len(o.messages) }

// Messages are those that wait, the oldest first, until the next call of another
// method.
func (o *Outbox) Messages() []*transport.Message { return o.messages }

// Drop takes the n oldest messages out. Their watches are kept until Taken.
func (o *Outbox) Drop(n int) {
	for i, m := range o.messages[:n] {
		if w := m.Watch(); w != nil {
			o.taken = append(o.taken, w)
		}
		o.queue.Bytes -= o.queue.Size(m)
		o.messages[i] = nil
	}
	if o.messages = o.messages[n:]; len(o.messages) == 0 {
		o.messages = nil
	}
	o.queue.Messages = len(o.messages)
	o.account.Set(o.queue.Bytes)
}

// Clear takes all out, and returns how many there were.
func (o *Outbox) Clear() int {
	n := len(o.messages)
	o.Drop(n)
	return n
}

// Taken returns the watches of the messages that were taken out since the last call. They
// are told without the lock.
func (o *Outbox) Taken() []transport.Watch {
	taken := o.taken
	o.taken = nil
	return taken
}

// TellWritten tells watches that their messages were written.
func TellWritten(watches []transport.Watch) {
	for _, w := range watches {
		w.Written()
	}
}

// TellDropped tells watches that their messages will not be written.
func TellDropped(watches []transport.Watch) {
	for _, w := range watches {
		w.Dropped()
	}
}

// Held yields what waits as it is written, for transport.Holder.
func (o *Outbox) Held(yield func([]byte) bool) {
	for _, m := range o.messages {
		data := m.Payload()
		if o.queue.Format != nil {
			data = m.In(o.queue.Format)
		}
		if !yield(data) {
			return
		}
	}
}
