package ratelimit

import (
	"net/netip"
	"strconv"
)

// Action is what a client or a backend wants to do. The zero Action is none.
type Action uint8

// The actions, and the fields of their Requests that the broker fills.
const (
	// Connect is a new session: App, IP. A client that connects before it has named its
	// app (SockJS) is checked twice, the first time without an App; see Request.Before.
	Connect Action = iota + 1
	// Subscribe is a subscription to one channel: App, IP, Session, Channel, and
	// User once signed in.
	Subscribe
	// ClientEvent is an event from a client: App, IP, Session, Channel, Event,
	// Size, and User where known.
	ClientEvent
	// Publish is an event from a backend, or from Go, to one channel: App, Channel, Event, Size.
	Publish
	// SignIn is a user's sign-in: App, IP, Session, User.
	SignIn
	// History is a page of past events that a client asks for: App, IP, Session, Channel,
	// and User once signed in.
	History

	actions = iota + 1
)

// String returns the action's name in lower case.
func (a Action) String() string {
	switch a {
	case Connect:
		return "connect"
	case Subscribe:
		return "subscribe"
	case ClientEvent:
		return "client event"
	case Publish:
		return "publish"
	case SignIn:
		return "sign-in"
	case History:
		return "history"
	}
	return "action " + strconv.Itoa(int(a))
}

// Request describes one action. Fields that are not known stay empty.
type Request struct {
	// Action decides which rules apply.
	Action Action
	// App is the ID of the app.
	App string
	// IP is the client's address without a port. Rules see IPv6 addresses by
	// their /64, which is what one client has, and IPv4-mapped ones as IPv4. What
	// is not an address is taken as it is.
	IP string
	// User is the ID of the user that the session is signed in as.
	User string
	// Session is the socket ID.
	Session string
	// Channel and Event are names.
	Channel, Event string
	// Size is the size of the payload in bytes.
	Size int
	// Before is an earlier request for the same action, with fewer fields, that was
	// passed: rules that were applied to it are not applied again.
	Before *Request
}

// Field is a field of a Request by which buckets are kept apart.
type Field uint8

// The fields that a Rule can have in By.
const (
	ByApp Field = iota + 1
	ByIP
	ByUser
	BySession
	ByChannel
	ByEvent

	fields = iota + 1
)

// String returns the field's name in a Request.
func (f Field) String() string {
	switch f {
	case ByApp:
		return "App"
	case ByIP:
		return "IP"
	case ByUser:
		return "User"
	case BySession:
		return "Session"
	case ByChannel:
		return "Channel"
	case ByEvent:
		return "Event"
	}
	return "field " + strconv.Itoa(int(f))
}

// appendField appends a field's value to a key.
func appendField(b []byte, req *Request, f Field) []byte {
	switch f {
	case ByApp:
		return appendPart(b, req.App)
	case ByIP:
		return appendIP(b, req.IP)
	case ByUser:
		return appendPart(b, req.User)
	case BySession:
		return appendPart(b, req.Session)
	case ByChannel:
		return appendPart(b, req.Channel)
	default:
		return appendPart(b, req.Event)
	}
}

// appendPart appends a netstring, so that no two lists of parts look the same.
func appendPart[T string | []byte](b []byte, part T) []byte {
	b = strconv.AppendInt(b, int64(len(part)), 10)
	b = append(b, ':')
	b = append(b, part...)
	return append(b, ',')
}

func appendIP(b []byte, ip string) []byte {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return appendPart(b, ip)
	}
	var text [len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/64")]byte
	addr = addr.Unmap()
	if addr.Is4() {
		return appendPart(b, addr.AppendTo(text[:0]))
	}
	prefix, _ := addr.Prefix(64) // drops the zone; 64 bits fit into any IPv6 address
	return appendPart(b, prefix.AppendTo(text[:0]))
}
