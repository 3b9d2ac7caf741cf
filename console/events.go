package console

import (
	"context"
	"time"
)

// eventJSON is an entry of the log as the API has it.
type eventJSON struct {
	Seq         uint64  `json:"seq"`
	At          int64   `json:"at"`
	Kind        string  `json:"kind"`
	App         string  `json:"app"`
	Channel     string  `json:"channel,omitempty"`
	Event       string  `json:"event,omitempty"`
	ID          string  `json:"id,omitempty"`
	Position    string  `json:"position,omitempty"`
	Session     string  `json:"session,omitempty"`
	User        string  `json:"user,omitempty"`
	IP          string  `json:"ip,omitempty"`
	Size        *int    `json:"size,omitempty"`
	Data        *string `json:"data,omitempty"`
	DataCut     bool    `json:"dataCut,omitempty"`
	JSON        bool    `json:"json,omitempty"`
	TookMs      float64 `json:"tookMs,omitempty"`
	Subscribers *int    `json:"subscribers,omitempty"`
	Excluded    int     `json:"excluded,omitempty"`
	Exclude     string  `json:"exclude,omitempty"`
	Reason      string  `json:"reason,omitempty"`
	Code        int     `json:"code,omitempty"`
	Status      int     `json:"status,omitempty"`
	URL         string  `json:"url,omitempty"`
	Attempt     int     `json:"attempt,omitempty"`
	Text        string  `json:"text"`
}

func (c *Console) eventJSON(e *logged) eventJSON {
	out := eventJSON{Seq: e.seq, At: millis(e.at), Kind: e.kind.String(), App: e.text(textApp), Channel: e.text(textChannel),
		Event: e.text(textEvent), ID: e.text(textID), Position: e.text(textPosition), Session: e.text(textSession),
		User: e.text(textUser), IP: c.shownIP(e.text(textIP)), TookMs: ms(e.took), Reason: e.text(textReason),
		Attempt: e.try, Text: c.line(e)}
	switch e.kind {
	case kindPublish, kindClientEvent:
		size, to := e.size, e.to
		out.Size, out.Subscribers, out.Excluded = &size, &to, e.passed
		out.Reason, out.Exclude = "", out.Reason
		out.JSON = e.json
		if !c.redact.payloads {
			data := text([]byte(e.text(textData)))
			out.Data, out.DataCut = &data, e.cut
		}
	case kindRefusePublish:
		size := e.size
		out.Size = &size
	case kindDisconnect:
		out.Code = e.code
	case kindAPI:
		out.Status, out.URL = e.code, e.text(textURL)
	case kindWebhook:
		size := e.size
		out.Size, out.Status, out.URL = &size, e.code, c.shownURL(e.text(textURL))
	}
	return out
}

// looked is how long somebody who has asked for the log counts as looking at it.
const looked = 10 * time.Second

// events is a page of the log, newest first.
func (c *Console) events(k *call) (any, error) {
	f, err := c.filter(k)
	if err != nil {
		return nil, err
	}
	limit, err := k.limit()
	if err != nil {
		return nil, err
	}
	before, err := k.number("before", 1<<62, 1, 1<<62)
	if err != nil {
		return nil, err
	}
	c.lookedAt.Store(time.Now().UnixNano())
	c.wantsChanged()
	out := struct {
		Events      []eventJSON `json:"events"`
		Oldest      uint64      `json:"oldest"`
		Newest      uint64      `json:"newest"`
		Dropped     uint64      `json:"dropped"`
		NotRecorded int64       `json:"notRecorded"`
		Next        uint64      `json:"next,omitempty"`
	}{Events: []eventJSON{}}
	var next uint64
	out.Oldest, next, out.Dropped = c.journal.bounds()
	out.Newest = next - 1
	out.NotRecorded = c.notRecorded()
	c.newest(k.r.Context(), &f, uint64(before), func(e *logged) bool {
		if len(out.Events) == limit {
			out.Next = out.Events[limit-1].Seq
			return false
		}
		out.Events = append(out.Events, c.eventJSON(e))
		return true
	})
	return out, nil
}

// newest calls yield with the entries before a number that a filter lets through, newest
// first, until it returns false or nobody waits for the answer any more.
func (c *Console) newest(ctx context.Context, f *filter, before uint64, yield func(*logged) bool) {
	var some []logged
	for ctx.Err() == nil {
		some = c.journal.readBack(before, some)
		if len(some) == 0 {
			return
		}
		for i := len(some) - 1; i >= 0; i-- {
			if f.lets(&some[i]) && !yield(&some[i]) {
				return
			}
		}
		before = some[0].seq
	}
}
