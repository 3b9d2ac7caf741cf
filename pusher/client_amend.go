package pusher

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/internal/surrogate"
	"github.com/carillon-rt/carillon/storage"
)

// amendEvents are the client events that are not relayed but amend an event of the
// channel: any client can send them, with an object as their data, and a hook decides.
//
//	channel.trigger("client-carillon-edit", {id: "…", data: "new text", operation_id: "…"})
//	channel.trigger("client-carillon-append", {id: "…", text: "more"})
//	channel.trigger("client-carillon-retract", {id: "…", version: 3})
//
// version refuses the amendment if the event has another, and operation_id makes a retry
// a no-op. All subscribers are sent what announces the amendment, the client included;
// what is refused is answered with pusher:error, as other client events are.
var amendEvents = map[string]storage.AmendKind{
	"client-carillon-edit":    storage.Edit,
	"client-carillon-append":  storage.Extend,
	"client-carillon-retract": storage.Retract,
}

// amend serves the client events that amend.
func (c *connection) amend(f clientMessage, kind storage.AmendKind, limits Limits) {
	req, err := f.amendment(kind, limits)
	if err == nil && c.latest().DisableClientEvents {
		err = broker.Refuse(403, "client events are not enabled for this app")
	}
	if err == nil {
		err = c.session.Amend(c.session.Context(), req)
	}
	if err != nil {
		a := answerTo(err)
		c.refuse(a.event, "client event rejected: "+a.text)
	}
}

func (f *clientMessage) amendment(kind storage.AmendKind, limits Limits) (broker.AmendRequest, error) {
	req := broker.AmendRequest{Channel: f.channel, Amends: kind}
	if f.channel == "" {
		return req, &broker.FieldError{Field: "channel", Problem: "is missing"}
	}
	if len(f.data) > limits.EventBytes {
		return req, &broker.FieldError{Field: "data", Problem: "is too large, in bytes", Limit: limits.EventBytes, Got: len(f.data)}
	}
	var version, data json.RawMessage
	var text string
	fields := []field{{name: "id", text: &req.EventID}, {name: "version", raw: &version}, {name: "operation_id", text: &req.OperationID}}
	switch kind {
	case storage.Edit:
		fields = append(fields, field{name: "data", raw: &data})
	case storage.Extend:
		fields = append(fields, field{name: "text", text: &text})
	}
	if err := f.parseData(fields...); err != nil {
		return req, err
	}
	req.Data = []byte(text)
	if kind == storage.Edit {
		if len(data) == 0 {
			return req, &broker.FieldError{Field: "data.data", Problem: "is missing"}
		}
		if surrogate.Lone(data) {
			return req, halfPair("data.data")
		}
		req.Data, req.JSON = bytes.Clone(data), true // it outlives the message
	}
	var err error
	req.Version, err = parseVersion(version)
	return req, err
}

// parseVersion returns the version of an event; nil where none is given.
func parseVersion(raw json.RawMessage) (*uint64, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	version, err := strconv.ParseUint(string(raw), 10, 53)
	if err != nil {
		return nil, &broker.FieldError{Field: "version", Problem: "is not a version of an event"}
	}
	return &version, nil
}
