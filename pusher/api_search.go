package pusher

import (
	"strconv"

	"github.com/carillon-rt/carillon/broker"
)

// foundEvent is an event that a search has found.
type foundEvent struct {
	apiEvent
	// Highlights are the places of the words in the text of data, or in its JSON, each as
	// where it begins and where it ends, counted in bytes of UTF-8.
	Highlights [][2]int `json:"highlights"`
}

// search serves GET /search: q has the words, and channel the name of a channel or a
// pattern with "*": it may be given several times, and without it all channels are
// searched. limit, ranked=1 and next, which continues after a page, are optional.
func (r *apiRequest) search() (any, error) {
	opts := make([]broker.SearchOption, 0, 8)
	for _, channel := range r.query["channel"] {
		opts = append(opts, broker.InChannel(channel))
	}
	return r.find(opts)
}

// searchIn searches one channel only.
func (r *apiRequest) searchIn(channel string) (any, error) {
	if err := broker.CheckChannelName(channel); err != nil { // it may be no pattern
		return nil, err
	}
	for _, name := range []string{"position", "direction"} {
		if r.query.Has(name) {
			return nil, badRequest("%s is not for a search: what is found has next", name)
		}
	}
	return r.find([]broker.SearchOption{broker.InChannel(channel)})
}

func (r *apiRequest) find(opts []broker.SearchOption) (any, error) {
	if text := r.query.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, badRequest("limit %q is not a number", text)
		}
		opts = append(opts, broker.HitsAtMost(n))
	}
	switch ranked := r.query.Get("ranked"); ranked {
	case "", "0", "false":
	case "1", "true":
		opts = append(opts, broker.Ranked())
	default:
		return nil, badRequest("ranked %q is neither 0 nor 1", ranked)
	}
	if next := r.query.Get("next"); next != "" {
		opts = append(opts, broker.NextHits(next))
	}
	page, err := r.app.Search(r.Context(), "", r.query.Get("q"), opts...)
	if err != nil {
		return nil, err
	}
	answer := struct {
		Events []foundEvent `json:"events"`
		Next   string       `json:"next,omitempty"`
	}{make([]foundEvent, len(page.Hits)), page.Next}
	for i := range page.Hits {
		hit := &page.Hits[i]
		answer.Events[i].apiEvent = newAPIEvent(&hit.Event)
		for _, s := range hit.Highlights {
			answer.Events[i].Highlights = append(answer.Events[i].Highlights, [2]int{s.Start, s.End})
		}
	}
	return answer, nil
}
