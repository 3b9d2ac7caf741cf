package pusher

import (
	"strconv"
	"time"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/transport"
)

// protocol7 puts what the broker has to say into the protocol's words. Versions
// 5 and 6 differ from 7 in nothing that a server sends.
var protocol7 broker.Protocol = &protocol{}

type protocol struct{}

// Encode implements broker.Protocol. Clients that know only the protocol are not told
// of gaps: they could do nothing about one.
func (*protocol) Encode(n broker.Notice) *transport.Message {
	switch n := n.(type) {
	case broker.EventNotice:
		return eventMessage(n.Event)
	case broker.SubscribedNotice:
		return subscribedMessage(n.Channel, n.Members)
	case broker.RevokedNotice:
		// The protocol has no word for a subscription that is ended by the server: the
		// page is told as of one that has failed.
		return subscriptionError(n.Channel, "AuthError", "authorization was revoked", 403)
	case broker.CacheMissNotice:
		return cacheMissMessage(n.Channel)
	case broker.MemberAddedNotice:
		return memberAddedMessage(n.Channel, n.Member)
	case broker.MemberRemovedNotice:
		return memberRemovedMessage(n.Channel, n.Member)
	case broker.SubscriptionCountNotice:
		return subscriptionCountMessage(n.Channel, n.Count)
	case broker.WatchlistNotice:
		return watchlistMessage(n.Online, n.Offline)
	}
	return nil
}

// begin starts a message: `{"event":"…","channel":"…","data":`. The caller adds
// the data and the closing brace.
func begin(size int, event, channel string) []byte {
	dst := make([]byte, 0, size+len(event)+len(channel)+48)
	dst = append(dst, `{"event":`...)
	dst = appendString(dst, event)
	if channel != "" {
		dst = append(dst, `,"channel":`...)
		dst = appendString(dst, channel)
	}
	return append(dst, `,"data":`...)
}

// message is a message whose data is a string, as all but errors have it.
func message(event, channel string, data []byte) *transport.Message {
	return end(unended(event, channel, data))
}

// unended is a message to which fields may be added before its end.
func unended(event, channel string, data []byte) []byte {
	return appendString(begin(len(data)+len(data)/4, event, channel), data)
}

func end(unended []byte) *transport.Message { return transport.NewMessage(append(unended, '}')) }

func eventMessage(ev *broker.Event) *transport.Message { return end(unendedEvent(ev)) }

func unendedEvent(ev *broker.Event) []byte {
	return appendPayload(begin(len(ev.Data)+len(ev.Data)/4+len(ev.UserID), ev.Name, ev.Channel), ev)
}

// appendPayload appends the value of an event's data, and who has sent it if that is known.
func appendPayload(dst []byte, ev *broker.Event) []byte {
	if ev.JSON {
		dst = append(dst, ev.Data...)
	} else {
		dst = appendString(dst, ev.Data)
	}
	if ev.UserID != "" {
		dst = append(dst, `,"user_id":`...)
		dst = appendString(dst, ev.UserID)
	}
	return dst
}

func subscribedMessage(channel string, members []broker.Member) *transport.Message {
	return end(unendedSubscribed(channel, members))
}

func unendedSubscribed(channel string, members []broker.Member) []byte {
	const event = "pusher_internal:subscription_succeeded"
	if broker.KindOf(channel).Base() != broker.Presence {
		return unended(event, channel, []byte("{}"))
	}
	data := append(make([]byte, 0, 64+64*len(members)), `{"presence":{"count":`...)
	data = strconv.AppendInt(data, int64(len(members)), 10)
	data = append(data, `,"ids":[`...)
	for i, m := range members {
		if i > 0 {
			data = append(data, ',')
		}
		data = appendString(data, m.UserID)
	}
	data = append(data, `],"hash":{`...)
	for i, m := range members {
		if i > 0 {
			data = append(data, ',')
		}
		data = append(appendString(data, m.UserID), ':')
		if len(m.Info) == 0 {
			data = append(data, "null"...)
		} else {
			data = append(data, m.Info...)
		}
	}
	return unended(event, channel, append(data, "}}}"...))
}

func cacheMissMessage(channel string) *transport.Message {
	return message("pusher:cache_miss", channel, []byte("{}"))
}

func memberAddedMessage(channel string, m broker.Member) *transport.Message {
	data := appendString([]byte(`{"user_id":`), m.UserID)
	if len(m.Info) > 0 {
		data = append(append(data, `,"user_info":`...), m.Info...)
	}
	return message("pusher_internal:member_added", channel, append(data, '}'))
}

func memberRemovedMessage(channel string, m broker.Member) *transport.Message {
	data := appendString([]byte(`{"user_id":`), m.UserID)
	return message("pusher_internal:member_removed", channel, append(data, '}'))
}

func subscriptionCountMessage(channel string, count int) *transport.Message {
	data := strconv.AppendInt([]byte(`{"subscription_count":`), int64(count), 10)
	return message("pusher_internal:subscription_count", channel, append(data, '}'))
}

func watchlistMessage(online, offline []string) *transport.Message {
	data := []byte(`{"events":[`)
	add := func(name string, ids []string) {
		if len(ids) == 0 {
			return
		}
		if data[len(data)-1] == '}' {
			data = append(data, ',')
		}
		data = append(data, `{"name":"`+name+`","user_ids":[`...)
		for i, id := range ids {
			if i > 0 {
				data = append(data, ',')
			}
			data = appendString(data, id)
		}
		data = append(data, "]}"...)
	}
	add("online", online)
	add("offline", offline)
	return message("pusher_internal:watchlist_events", "", append(data, "]}"...))
}

// Close implements broker.Protocol. Of the codes, 4009 keeps clients from
// reconnecting, 4100 makes them wait, and 4200 brings them back at once.
func (*protocol) Close(reason broker.CloseReason) (code int, text string) {
	switch reason {
	case broker.CloseSlow:
		return 4100, "client is too slow: messages were waiting over the limit"
	case broker.CloseTerminated:
		return 4009, "connections of the user were terminated"
	case broker.CloseExpired:
		return 4200, "an authorization has expired: reconnect and ask again"
	default:
		return 4200, "server is shutting down: reconnect"
	}
}

// Messages that are the same for everybody.
var (
	pingMessage = message("pusher:ping", "", []byte("{}"))
	pongMessage = message("pusher:pong", "", []byte("{}"))
)

func connectionEstablished(socketID string, activityTimeout time.Duration) *transport.Message {
	data := appendString([]byte(`{"socket_id":`), socketID)
	data = append(data, `,"activity_timeout":`...)
	data = strconv.AppendInt(data, int64(activityTimeout/time.Second), 10)
	return message("pusher:connection_established", "", append(data, '}'))
}

// errorMessage is the one message whose data is an object. A code of 0 is null.
func errorMessage(code int, text string) *transport.Message {
	dst := append(begin(min(len(text), maxErrorText)+32, "pusher:error", ""), `{"code":`...)
	if code == 0 {
		dst = append(dst, "null"...)
	} else {
		dst = strconv.AppendInt(dst, int64(code), 10)
	}
	dst = appendString(append(dst, `,"message":`...), clip(text))
	return transport.NewMessage(append(dst, "}}"...))
}

func subscriptionError(channel, kind, text string, status int) *transport.Message {
	data := appendString([]byte(`{"type":`), kind)
	data = appendString(append(data, `,"error":`...), clip(text))
	data = strconv.AppendInt(append(data, `,"status":`...), int64(status), 10)
	return message("pusher:subscription_error", channel, append(data, '}'))
}

func signinSuccess(userData string) *transport.Message {
	data := appendString([]byte(`{"user_data":`), userData)
	return message("pusher:signin_success", "", append(data, '}'))
}
