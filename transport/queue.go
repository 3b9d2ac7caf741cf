package transport

import "fmt"

// Default bounds of a connection's queue. A connection over either is cut off
// rather than skipped.
const (
	DefaultQueueMessages = 16384
	DefaultQueueBytes    = 4 << 20
)

// Queue says how much waits for a peer, and how much its connection has room for.
type Queue struct {
	// Messages and Bytes are how much waits; the limits are how much may wait.
	Messages, MessageLimit int
	Bytes, ByteLimit       int
	// Format is the form in which Bytes counts a message; nil counts its payload.
	Format *Format
}

// Size is how many bytes m takes in the queue.
func (q *Queue) Size(m *Message) int {
	if q.Format == nil {
		return len(m.Payload())
	}
	return len(m.In(q.Format))
}

// Add counts m in if there is room for it, and reports whether there was.
func (q *Queue) Add(m *Message) bool {
	size := q.Size(m)
	if q.Messages >= q.MessageLimit || q.Bytes+size > q.ByteLimit {
		return false
	}
	q.Messages++
	q.Bytes += size
	return true
}

// Error is what Conn.Send returns when there is no room.
func (q *Queue) Error() *QueueError {
	return &QueueError{Messages: q.Messages, MessageLimit: q.MessageLimit, Bytes: q.Bytes, ByteLimit: q.ByteLimit}
}

// QueueError says which bound of a connection's queue was reached.
// It wraps ErrSlow.
type QueueError struct {
	// Messages and Bytes are what the queue holds; the limits are its bounds.
	Messages, MessageLimit int
	Bytes, ByteLimit       int
}

// Error implements error.
func (e *QueueError) Error() string {
	return fmt.Sprintf("%v: %d messages of at most %d, %d bytes of at most %d", ErrSlow,
		e.Messages, e.MessageLimit, e.Bytes, e.ByteLimit)
}

// Unwrap makes errors.Is(err, ErrSlow) true.
func (e *QueueError) Unwrap() error { return ErrSlow }
