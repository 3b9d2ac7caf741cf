package pusher

import (
	"encoding/json"
	"strconv"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/transport"
)

const (
	// maxPosition is the longest text that is looked at as a position, in bytes.
	maxPosition = 64
	// maxSockets is how many of a page's earlier socket IDs count, the newest ones.
	maxSockets = 5
)

// askForPositions puts what a client asks for with "resume" into the request, and
// reports whether it asks for anything. A version that is unknown is as if nothing
// was asked, and what is no position of the channel is a gap: neither is an error, since a
// page does not try again what was refused.
func askForPositions(req *broker.SubscribeRequest, resume json.RawMessage) bool {
	var version, after, sockets json.RawMessage
	if len(resume) == 0 || resume[0] != '{' || takeFields(resume, []field{{name: "v", raw: &version},
		{name: "after", raw: &after}, {name: "sockets", raw: &sockets}}) != nil || string(version) != "1" {
		return false
	}
	req.Protocol, req.Again = positions7, true
	if len(after) > 0 && string(after) != "null" && string(after) != `""` {
		p := parsePosition(after)
		req.After = &p
	}
	ids, _ := stringList("sockets", sockets)
	for _, id := range ids[:min(len(ids), maxSockets)] {
		if validSocketID(id) {
			req.Sockets = append(req.Sockets, id)
		}
	}
	return true
}

// askBySignature does so with what an authorizer has put into channel_data, for clients
// that pass that on but cannot be made to say more. It is part of what is signed.
func askBySignature(req *broker.SubscribeRequest, channelData string) bool {
	var resume json.RawMessage
	if parseObject([]byte(channelData), "channel_data", field{name: "resume", raw: &resume}) != nil || !askForPositions(req, resume) {
		return false
	}
	req.Protocol = spokenPositions7
	return true
}

// parsePosition returns the position that a JSON string holds, and none for anything
// else.
func parsePosition(quoted []byte) broker.Position {
	text, ok := jsonString(quoted)
	if !ok || len(text) > maxPosition {
		return broker.Position{}
	}
	p, _ := storage.ParsePosition(text)
	return p
}

// positions7 speaks on the subscriptions of clients that keep positions: it is protocol7
// with fields that only they look for. Events are encoded a second time for them, once
// for all.
var positions7 broker.Protocol = &positionWords{}

// spokenPositions7 does so with clients that nothing can be added to: it says as events,
// which their pages can bind to, what positions7 says between the lines.
var spokenPositions7 broker.Protocol = &positionWords{spoken: true}

type positionWords struct {
	protocol
	spoken bool
}

// Encode implements broker.Protocol.
func (w *positionWords) Encode(n broker.Notice) *transport.Message {
	position, gap, lost := "pusher_internal:position", "pusher_internal:gap", "{}"
	if w.spoken {
		position, gap, lost = "pusher:position", "pusher:gap", `{"missed":0}`
	}
	switch n := n.(type) {
	case broker.EventNotice:
		return end(appendPosition(unendedEvent(n.Event), n.Position, n.Prev))
	case broker.SubscribedNotice:
		dst := append(unendedSubscribed(n.Channel, n.Members), `,"resume":{"status":"`...)
		dst = append(append(dst, resumeStatus(n.Resume)...), `","missed":`...)
		dst = append(strconv.AppendInt(dst, int64(n.Missed), 10), '}')
		return end(appendPosition(dst, n.Position, broker.Position{}))
	case broker.ResumeNotice:
		if !w.spoken {
			return nil
		}
		event, data := position, []byte("{}")
		if n.Resume != broker.Fresh {
			event = "pusher:" + resumeStatus(n.Resume)
			data = append(strconv.AppendInt([]byte(`{"missed":`), int64(n.Missed), 10), '}')
		}
		return end(appendPosition(unended(event, n.Channel, data), n.Position, broker.Position{}))
	case broker.PositionNotice:
		return end(appendPosition(unended(position, n.Channel, []byte("{}")), n.Position, n.Prev))
	case broker.GapNotice:
		return end(appendPosition(unended(gap, n.Channel, []byte(lost)), n.Position, broker.Position{}))
	}
	return w.protocol.Encode(n)
}

func resumeStatus(r broker.Resume) string {
	switch r {
	case broker.Resumed:
		return "resumed"
	case broker.ResumeGap:
		return "gap"
	default:
		return "fresh"
	}
}

// appendPosition adds a position to a message that has one, and the position before where
// that is not simply the offset before.
func appendPosition(dst []byte, at, prev broker.Position) []byte {
	if at.IsZero() {
		return dst
	}
	dst = append(dst, `,"pos":"`...)
	dst, _ = at.AppendText(dst)
	if !prev.IsZero() && (prev.Epoch != at.Epoch || prev.Offset+1 != at.Offset) {
		dst = append(dst, `","prev":"`...)
		dst, _ = prev.AppendText(dst)
	}
	return append(dst, '"')
}
