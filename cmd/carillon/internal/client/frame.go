package client

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Frame is one message of the protocol.
type Frame struct {
	Event   string
	Channel string
	// Data is the text of the data: what was a JSON string is unwrapped, all else is the
	// JSON itself. It is empty where there was none.
	Data string
	// UserID is the member who sent a client event.
	UserID string
	// Position is where the event stands on its channel, and Resume how a subscription goes
	// on from an earlier position; both only from servers that offer positions.
	Position string
	Resume   *Resumption
}

// Resumption is what a server says of a subscription that asked to go on.
type Resumption struct {
	// Status is "resumed", "gap" or "fresh".
	Status string `json:"status"`
	// Missed is how many events follow that were missed.
	Missed int `json:"missed"`
}

// parseFrame parses a message that a server sent.
func parseFrame(message []byte) (Frame, error) {
	var wire struct {
		Event   string          `json:"event"`
		Channel string          `json:"channel"`
		Data    json.RawMessage `json:"data"`
		UserID  json.RawMessage `json:"user_id"`
		Pos     string          `json:"pos"`
		Resume  *Resumption     `json:"resume"`
	}
	if err := json.Unmarshal(message, &wire); err != nil {
		return Frame{}, fmt.Errorf("a message is not of the protocol: %w", err)
	}
	if wire.Event == "" {
		return Frame{}, fmt.Errorf("a message of %d bytes has no event", len(message))
	}
	return Frame{Event: wire.Event, Channel: wire.Channel, Data: textOf(wire.Data), UserID: textOf(wire.UserID), Position: wire.Pos, Resume: wire.Resume}, nil
}

// textOf unwraps a JSON string.
func textOf(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	return string(bytes.TrimSpace(raw))
}
