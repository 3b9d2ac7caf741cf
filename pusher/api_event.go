package pusher

import (
	"encoding/json"

	"github.com/carillon-rt/carillon/broker"
)

// apiEvent is an event of a channel's history as the HTTP API has it.
type apiEvent struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Channel string `json:"channel"`
	// Data is a string, or any value for an event that carries JSON; it is null for one
	// that was retracted.
	Data     json.RawMessage `json:"data"`
	Position string          `json:"position,omitempty"`
	// Time is when the event was accepted, in RFC 3339 with milliseconds, in UTC.
	Time   string `json:"time"`
	UserID string `json:"user_id,omitempty"`
	// Version is how often the event was amended.
	Version   uint64 `json:"version,omitempty"`
	Retracted bool   `json:"retracted,omitempty"`
}

func newAPIEvent(ev *broker.Event) apiEvent {
	e := apiEvent{ID: ev.ID, Name: ev.Name, Channel: ev.Channel, Position: ev.Position.String(),
		Time: ev.Time.UTC().Format(milliseconds), UserID: ev.UserID, Version: ev.Version, Retracted: ev.Retracted}
	switch {
	case ev.Retracted:
		e.Data = json.RawMessage("null")
	case ev.JSON:
		e.Data = ev.Data
	default:
		e.Data = appendString(nil, ev.Data)
	}
	return e
}
