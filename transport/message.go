package transport

import "sync/atomic"

// Message is one message, which all connections that it is sent to share: the payload,
// and its encoding in each Format, computed once.
//
// A Message is immutable and safe for concurrent use.
type Message struct {
	payload []byte
	forms   atomic.Pointer[form]
	watched *watched // nil for nearly all
}

// form is a link in a message's list of framings; links are only ever added.
type form struct {
	format *Format
	data   []byte
	next   *form
}

// Format is one way of framing a payload for the wire, such as a WebSocket
// text frame. It is compared by its address: make one per format, once.
type Format struct {
	name   string
	encode func(payload []byte) []byte
}

// NewFormat returns a format. encode must not keep or change the payload, and
// what it returns is shared and must never change.
func NewFormat(name string, encode func(payload []byte) []byte) *Format {
	return &Format{name: name, encode: encode}
}

// String returns the format's name.
func (f *Format) String() string { return f.name }

// NewMessage returns a message that takes over payload.
func NewMessage(payload []byte) *Message { return &Message{payload: payload} }

// Payload returns the message without framing. It must not be changed.
func (m *Message) Payload() []byte { return m.payload }

// In returns the message encoded in f. All callers share the result, which must not be
// changed. Two first calls at the same time may both encode; one result is kept.
func (m *Message) In(f *Format) []byte {
	if m.watched != nil {
		return m.watched.of.In(f)
	}
	head := m.forms.Load()
	for link := head; link != nil; link = link.next {
		if link.format == f {
			return link.data
		}
	}
	added := &form{format: f, data: f.encode(m.payload), next: head}
	for !m.forms.CompareAndSwap(head, added) {
		head = m.forms.Load()
		for link := head; link != nil; link = link.next {
			if link.format == f {
				return link.data
			}
		}
		added.next = head
	}
	return added.data
}
