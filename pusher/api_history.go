package pusher

import (
	"encoding/json"
	"strconv"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/storage"
)

const (
	// maxAPIPage is the most events that a backend gets at once, and defaultAPIPage how
	// many where it does not say.
	maxAPIPage, defaultAPIPage = 1000, 100
	// maxAPIPageBytes is the most data that it gets at once, unless one event has more.
	maxAPIPageBytes = 1 << 20
)

// pastEvent is an event of a channel's history as backends are told of it.
type pastEvent struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// Data is what subscribers were sent, or what amendments have made of that: text,
	// or the JSON value of a client's event. It is sealed on encrypted channels.
	Data     any    `json:"data"`
	Channel  string `json:"channel"`
	Position string `json:"position"`
	Time     string `json:"time"`
	UserID   string `json:"user_id,omitempty"`
	// Version is how often the event was amended.
	Version   uint64 `json:"version,omitempty"`
	Retracted bool   `json:"retracted,omitempty"`
}

func pastEventOf(ev *broker.Event) pastEvent {
	out := pastEvent{ID: ev.ID, Name: ev.Name, Data: string(ev.Data), Channel: ev.Channel, Position: ev.Position.String(),
		Time: ev.Time.UTC().Format(milliseconds), UserID: ev.UserID, Version: ev.Version, Retracted: ev.Retracted}
	if ev.JSON && len(ev.Data) > 0 {
		out.Data = json.RawMessage(ev.Data)
	}
	return out
}

// history serves GET /channels/{name}/history: the newest events first, or with
// direction=forward the oldest, next to a position if there is one.
func (r *apiRequest) history(channel string) (any, error) {
	channel, err := pathName(channel, "channel")
	if err != nil {
		return nil, err
	}
	limit, err := intParameter(r.query.Get("limit"), "limit", defaultAPIPage, maxAPIPage)
	if err != nil {
		return nil, err
	}
	// One more than asked for says whether there is more.
	opts := []broker.HistoryOption{broker.AtMost(limit + 1)}
	switch direction := r.query.Get("direction"); direction {
	case "", "backward":
		opts = append(opts, broker.Backward())
	case "forward":
	default:
		return nil, badRequest("direction %q is unknown: it is backward or forward", direction)
	}
	position, err := storage.ParsePosition(r.query.Get("position"))
	if err != nil {
		return nil, badRequest("position: %v", err)
	}
	opts = append(opts, broker.From(position))
	out := struct {
		Events []pastEvent `json:"events"`
		More   bool        `json:"more"`
	}{Events: []pastEvent{}}
	bytes := 0
	for ev, err := range r.app.History(r.Context(), channel, opts...) {
		if err != nil {
			return nil, err
		}
		if bytes += len(ev.Data); len(out.Events) == limit || bytes > maxAPIPageBytes && len(out.Events) > 0 {
			out.More = true
			break
		}
		out.Events = append(out.Events, pastEventOf(&ev))
	}
	return out, nil
}

// intParameter parses a number from 1 to max, which is fallback where there is none.
func intParameter(text, name string, fallback, max int) (int, error) {
	if text == "" {
		return fallback, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > max {
		return 0, badRequest("%s %q is not a number from 1 to %d", name, text, max)
	}
	return n, nil
}
