package broker

import (
	"bytes"
	"encoding/json"

	"github.com/carillon-rt/carillon/storage"
)

// AmendmentNames are the names of the events that announce amendments.
type AmendmentNames struct {
	Edited, Retracted, Appended string
}

// DefaultAmendmentNames are the names where WithAmendmentNames does not say.
var DefaultAmendmentNames = AmendmentNames{
	Edited: "carillon:edited", Retracted: "carillon:retracted", Appended: "carillon:appended",
}

func (n *AmendmentNames) check() error {
	for _, name := range [...]struct{ field, value string }{
		{"Edited", n.Edited}, {"Retracted", n.Retracted}, {"Appended", n.Appended},
	} {
		if err := CheckEventName(name.value); err != nil {
			return &FieldError{Field: "amendment names." + name.field, Value: name.value, Problem: "is no name of an event: " + err.Error()}
		}
	}
	if n.Edited == n.Retracted || n.Edited == n.Appended || n.Retracted == n.Appended {
		return &FieldError{Field: "amendment names", Problem: "are not three different ones"}
	}
	return nil
}

func (n *AmendmentNames) of(kind storage.AmendKind) string {
	switch kind {
	case storage.Edit:
		return n.Edited
	case storage.Retract:
		return n.Retracted
	default:
		return n.Appended
	}
}

// AmendmentData is the data of an event that announces an amendment, as JSON.
type AmendmentData struct {
	// ID is the target's.
	ID string `json:"id"`
	// Version is the target's after the amendment: how often it has been amended.
	Version uint64 `json:"version"`
	// Data is the target's new data, of an edit: a string, or any value where the
	// target carries JSON (see Event.JSON).
	Data json.RawMessage `json:"data,omitempty"`
	// Text is what was added, of an append.
	Text *string `json:"text,omitempty"`
	// OperationID is that of whoever has amended; see the option.
	OperationID string `json:"operation_id,omitempty"`
}

func (d *AmendmentData) encode() []byte {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	_ = e.Encode(d) // what is valid JSON can be encoded
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}

// text returns data as AmendmentData has it.
func text(data []byte) json.RawMessage {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	_ = e.Encode(string(data))
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}

// showRetracted makes of events whose data is gone, for those who are sent the past, what
// announces that. Nothing else is sent in their place: no page expects an event of its
// own without data.
func (n *node) showRetracted(ch ChannelID, events []Event) {
	for i := range events {
		ev := &events[i]
		if !ev.Retracted {
			continue
		}
		if ev.Amends == 0 {
			ev.Target = ev.ID
		}
		ev.Amends, ev.Name, ev.JSON = storage.Retract, n.names.Retracted, false
		data := AmendmentData{ID: ev.Target, Version: ev.Version}
		ev.Data = data.encode()
		if c := n.cipher.Load(); c != nil && KindOf(ch.Name).Base() == Encrypted {
			if sealed, err := (*c).Seal(ch.App, ch.Name, ev.Data); err == nil {
				ev.Data = sealed
			}
		}
	}
}

// AmendRequest is an amendment of an event. Hooks cannot change App, Channel, Session,
// Amends, EventID and Target.
type AmendRequest struct {
	// App is set by the broker.
	App     string
	Channel string
	// Session is the client's that wants to amend; nil for the server side.
	Session *Session
	// Amends is what to do: storage.Edit, storage.Retract, or storage.Extend to append.
	Amends storage.AmendKind
	// EventID is the target's ID.
	EventID string
	// Target is the event as it is now, set by the broker; its data is sealed on an
	// encrypted channel, and must not be changed.
	Target Event
	// Data replaces the target's data, or is added to it, and is taken over. With JSON
	// it is a JSON value: a string stands for its text unless the target carries JSON.
	Data []byte
	JSON bool
	// UserID is the member of a presence channel, or the user in whose name the server
	// amends; empty for none.
	UserID string
	// Version refuses the amendment if the target has another version; nil for any. See
	// Event.Version.
	Version *uint64
	// OperationID makes a retry a no-op: see the option.
	OperationID string
	// Allowed says that the amendment is allowed. It is set for the server side, and
	// not for clients: those may amend what a hook lets them.
	Allowed bool
}

// Own reports whether who wants to amend has sent the target: the same user, or the same
// connection.
func (r *AmendRequest) Own() bool {
	if r.UserID != "" && r.UserID == r.Target.UserID {
		return true
	}
	return r.Session != nil && r.Session.id == r.Target.SocketID
}
