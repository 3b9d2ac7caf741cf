package console

import (
	"net/http"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/storage"
)

// maxHistoryData is how much of an event's data a page of history has.
const maxHistoryData = 64 << 10

type historyEvent struct {
	ID        string  `json:"id"`
	Position  string  `json:"position"`
	Time      int64   `json:"time"`
	Name      string  `json:"name"`
	Size      int     `json:"size"`
	Data      *string `json:"data,omitempty"`
	DataCut   bool    `json:"dataCut,omitempty"`
	JSON      bool    `json:"json"`
	User      string  `json:"user,omitempty"`
	Session   string  `json:"session,omitempty"`
	Version   uint64  `json:"version"`
	Retracted bool    `json:"retracted"`
	Amends    string  `json:"amends,omitempty"`
	Target    string  `json:"target,omitempty"`
	Encrypted bool    `json:"encrypted"`
}

var amendWords = map[storage.AmendKind]string{storage.Edit: "edit", storage.Retract: "retract", storage.Extend: "append"}

func (c *Console) historyEvent(ev *broker.Event) historyEvent {
	out := historyEvent{ID: ev.ID, Position: positionOf(ev.Position), Time: millis(ev.Time), Name: ev.Name, Size: len(ev.Data),
		JSON: ev.JSON, User: ev.UserID, Session: ev.SocketID, Version: ev.Version, Retracted: ev.Retracted,
		Amends: amendWords[ev.Amends], Target: ev.Target, Encrypted: broker.KindOf(ev.Channel).Base() == broker.Encrypted}
	if !ev.Retracted {
		out.Data, out.DataCut = c.shownData(ev.Data, maxHistoryData)
	}
	return out
}

type historyPage struct {
	Events []historyEvent `json:"events"`
	Next   string         `json:"next,omitempty"`
	Search bool           `json:"search"`
}

// history is a page of what a channel has kept, newest first, or of what a search in it has
// found.
func (c *Console) history(k *call) (any, error) {
	app, err := k.app()
	if err != nil {
		return nil, err
	}
	limit, err := k.limit()
	if err != nil {
		return nil, err
	}
	name := k.query.Get("name")
	if err := broker.CheckChannelName(name); err != nil {
		return nil, err
	}
	if q := k.query.Get("q"); q != "" {
		return c.searched(k, app, name, q, limit)
	}
	options := []broker.HistoryOption{broker.Backward(), broker.AtMost(limit + 1)}
	if before := k.query.Get("before"); before != "" {
		at, err := storage.ParsePosition(before)
		if err != nil || at.IsZero() {
			return nil, invalid("before", "is no position")
		}
		options = append(options, broker.From(at))
	}
	switch k.query.Get("log") {
	case "1":
		options = append(options, broker.Log())
	case "", "0":
	default:
		return nil, invalid("log", "has to be 0 or 1")
	}
	page := historyPage{Events: []historyEvent{}, Search: k.broker.Store().Search}
	for ev, err := range app.History(k.r.Context(), name, options...) {
		if err != nil {
			return nil, err
		}
		if len(page.Events) == limit {
			page.Next = page.Events[limit-1].Position
			break
		}
		page.Events = append(page.Events, c.historyEvent(&ev))
	}
	return page, nil
}

func (c *Console) searched(k *call, app *broker.App, name, q string, limit int) (any, error) {
	if c.redact.payloads {
		return nil, &apiError{status: http.StatusForbidden, Code: "forbidden", Text: "Payloads are hidden, and so cannot be searched."}
	}
	options := []broker.SearchOption{broker.HitsAtMost(limit)}
	if before := k.query.Get("before"); before != "" {
		options = append(options, broker.NextHits(before))
	}
	found, err := app.Search(k.r.Context(), name, q, options...)
	if err != nil {
		return nil, err
	}
	page := historyPage{Events: []historyEvent{}, Next: found.Next, Search: true}
	for i := range found.Hits {
		if ev := &found.Hits[i].Event; ev.Channel == name { // and not of a pattern that the name is as well
			page.Events = append(page.Events, c.historyEvent(ev))
		}
	}
	return page, nil
}
