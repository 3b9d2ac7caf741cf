package pusher

import (
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

// history serves GET /channels/{name}/history: the newest events first, or with
// direction=forward the oldest, next to a position if there is one. With q it is a search
// among them.
func (r *apiRequest) history(channel string) (any, error) {
	channel, err := pathName(channel, "channel")
	if err != nil {
		return nil, err
	}
	if r.query.Has("q") {
		return r.searchIn(channel)
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
		Events []apiEvent `json:"events"`
		More   bool       `json:"more"`
	}{Events: []apiEvent{}}
	bytes := 0
	for ev, err := range r.app.History(r.Context(), channel, opts...) {
		if err != nil {
			return nil, err
		}
		if bytes += len(ev.Data); len(out.Events) == limit || bytes > maxAPIPageBytes && len(out.Events) > 0 {
			out.More = true
			break
		}
		out.Events = append(out.Events, newAPIEvent(&ev))
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
