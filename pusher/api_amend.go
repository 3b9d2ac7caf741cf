package pusher

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/storage"
)

// amendPath takes /channels/{name}/events/{id}/{action} apart, as far as it is escaped.
func amendPath(rest string) (channel, id string, kind storage.AmendKind, ok bool) {
	rest, ok = strings.CutPrefix(rest, "/channels/")
	slash := strings.LastIndexByte(rest, '/')
	if !ok || slash < 0 {
		return "", "", 0, false
	}
	switch rest[slash+1:] {
	case "edit":
		kind = storage.Edit
	case "append":
		kind = storage.Extend
	case "retract":
		kind = storage.Retract
	}
	rest = rest[:slash]
	const events = "/events/"
	at := strings.LastIndex(rest, events)
	if kind == 0 || at < 0 {
		return "", "", 0, false
	}
	return rest[:at], rest[at+len(events):], kind, true
}

// amended is the answer to an amendment.
type amended struct {
	Position  string `json:"position"`
	Version   uint64 `json:"version"`
	Duplicate bool   `json:"duplicate,omitempty"`
}

// amend serves POST /channels/{name}/events/{id}/edit, append and retract. The body is an
// object: data is the new text of an edit and text what is appended; version, operation_id
// and user_id may be given, and Idempotency-Key instead of operation_id. On an encrypted
// channel they are not sealed: the server does that.
func (r *apiRequest) amend(channel, id string, kind storage.AmendKind) (any, error) {
	channel, err := pathName(channel, "channel")
	if err != nil {
		return nil, err
	}
	if id, err = pathName(id, "id"); err != nil {
		return nil, err
	}
	var data, text, version json.RawMessage
	var userID string
	operation := r.Header.Get(idempotencyHeader)
	if len(r.body) > 0 || kind != storage.Retract {
		if err := parseObject(r.body, "body", field{name: "data", raw: &data}, field{name: "text", raw: &text},
			field{name: "version", raw: &version}, field{name: "operation_id", text: &operation}, field{name: "user_id", text: &userID}); err != nil {
			return nil, err
		}
	}
	var opts []broker.AmendOption
	if known, err := parseVersion(version); err != nil {
		return nil, err
	} else if known != nil {
		opts = append(opts, broker.IfVersion(*known))
	}
	opts = append(opts, broker.OperationID(operation), broker.ByUser(userID))
	var out broker.Amended
	switch kind {
	case storage.Edit:
		if data, err = r.amendText("data", data); err == nil {
			out, err = r.app.Edit(r.Context(), channel, id, data, opts...)
		}
	case storage.Extend:
		if text, err = r.amendText("text", text); err == nil {
			out, err = r.app.Append(r.Context(), channel, id, text, opts...)
		}
	default:
		out, err = r.app.Retract(r.Context(), channel, id, opts...)
	}
	if err != nil {
		return nil, err
	}
	return amended{Position: out.Position.String(), Version: out.Version, Duplicate: out.Duplicate}, nil
}

// amendText returns the text of a field that has to be there.
func (r *apiRequest) amendText(name string, raw []byte) ([]byte, error) {
	text, ok := jsonString(raw)
	switch {
	case len(raw) == 0:
		return nil, badRequest("%s is missing", name)
	case !ok || !utf8.ValidString(text):
		return nil, &broker.FieldError{Field: name, Problem: "is not a string: encode it as JSON first"}
	case len(text) > r.limits.EventBytes:
		return nil, &apiError{status: http.StatusRequestEntityTooLarge,
			message: fmt.Sprintf("%s is too large: %d bytes, the limit is %d. ", name, len(text), r.limits.EventBytes) + eventTooLarge(r.limits.EventBytes)}
	}
	return []byte(text), nil
}
