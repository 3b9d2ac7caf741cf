package transport

// Watch is told what becomes of a message on each connection that it was sent to, once for
// each Send that returned no error. Its methods are called by whoever writes: they must not
// block, nor call the connection's Close.
type Watch interface {
	// Written says that all of the message was handed to the system or, where a connection
	// has no socket, taken by the client. It may not have arrived.
	Written()
	// Dropped says that the connection has ended before.
	Dropped()
}

// watched is what a message has that is watched.
type watched struct {
	of    *Message // whose payload and encodings it shares
	watch Watch
}

// Watched returns the message with a Watch: it shares the payload, and what it is encoded
// in. The message itself stays as it is. A transport that tells no watches writes both alike.
func (m *Message) Watched(w Watch) *Message {
	both := new(struct {
		message Message
		watched watched
	})
	of := m
	if m.watched != nil {
		of = m.watched.of
	}
	both.watched = watched{of, w}
	both.message.payload, both.message.watched = m.payload, &both.watched
	return &both.message
}

// Watch returns who is to be told what becomes of the message; nil, but for very few.
func (m *Message) Watch() Watch {
	if m.watched == nil {
		return nil
	}
	return m.watched.watch
}
