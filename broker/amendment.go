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
