package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	// A stream sends the log every streamStep, at most streamEvents entries of it, and the
	// figures every second. A client that takes longer than streamTimeout for a message is
	// cut off, and one that is no longer allowed to see it after recheck at the latest.
	streamStep    = 100 * time.Millisecond
	streamEvents  = 50
	streamTimeout = 10 * time.Second
	recheck       = 5 * time.Second
)

// viewers counts those who look.
type viewers struct{ all, events atomic.Int64 }

func (v *viewers) count() int    { return int(v.all.Load()) }
func (v *viewers) looking() bool { return v.events.Load() > 0 }

// stream is one who looks: a request that is answered until one side ends it.
type stream struct {
	console *Console
	call    *call
	control *http.ResponseController
	filter  filter
	events  bool
	// next is the first entry of the log that was not looked at yet.
	next   uint64
	traced uint64 // of the traces' news
	// What a batch is made of, for the next one to use again.
	read []logged
	out  []eventJSON
}

// eventsStream sends the log and the figures as they come. The broker never waits for it:
// it reads the log when it can, and says how much it has missed.
func (c *Console) eventsStream(k *call) (any, error) {
	f, err := c.filter(k)
	if err != nil {
		return nil, err
	}
	s := &stream{console: c, call: k, control: http.NewResponseController(k.w), filter: f}
	switch k.query.Get("events") {
	case "", "1":
		s.events = true
	case "0":
	default:
		return nil, invalid("events", "has to be 0 or 1")
	}
	_, s.next, _ = c.journal.bounds()
	after := k.query.Get("after")
	if last := k.r.Header.Get("Last-Event-ID"); last != "" {
		after = last
	}
	if after != "" {
		seq, err := strconv.ParseUint(after, 10, 62)
		if err != nil {
			return nil, invalid("after", "is no number of an entry")
		}
		if seq < s.next { // else it is of another run of the server
			s.next = seq + 1
		}
	}
	if c.viewers.all.Add(1) > int64(c.limits.Viewers) {
		c.viewers.all.Add(-1)
		return nil, &apiError{status: http.StatusTooManyRequests, Code: "too_many", retry: 5 * time.Second,
			Text: fmt.Sprintf("%d people look at this console already.", c.limits.Viewers)}
	}
	defer c.viewers.all.Add(-1)
	if s.events {
		c.viewers.events.Add(1)
		c.wantsChanged()
		defer c.wantsChanged()
		defer c.viewers.events.Add(-1)
	}
	s.run()
	return answered{}, nil
}

func (s *stream) run() {
	h := s.call.w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-store, no-transform")
	h.Set("X-Accel-Buffering", "no")
	if s.call.r.Method == http.MethodHead {
		return
	}
	if s.write("retry: 2000\n\n") != nil || s.figures() != nil {
		return
	}
	step := time.NewTicker(streamStep)
	defer step.Stop()
	second, checked := time.Now(), time.Now()
	for {
		select {
		case <-s.call.r.Context().Done():
			return
		case <-s.console.closing:
			_ = s.send("bye", 0, map[string]string{"reason": "closed"})
			return
		case now := <-step.C:
			if s.events && s.log() != nil || s.traces() != nil {
				return
			}
			if now.Sub(second) >= time.Second {
				second = now
				if s.figures() != nil {
					return
				}
			}
			if now.Sub(checked) >= recheck {
				checked = now
				if s.console.auth.allow(s.call.r) != nil {
					_ = s.send("bye", 0, map[string]string{"reason": "signed-out"})
					return
				}
			}
		}
	}
}

// log sends what has come into the log since the last time.
func (s *stream) log() error {
	c := s.console
	oldest, end, _ := c.journal.bounds()
	lost := uint64(0)
	if s.next < oldest {
		lost, s.next = oldest-s.next, oldest
	}
	out := s.out[:0]
	skipped := 0
	for s.next < end {
		some := c.journal.read(s.next, s.read)
		if s.read = some; len(some) == 0 {
			break
		}
		for i := range some {
			e := &some[i]
			switch {
			case !s.filter.lets(e):
			case len(out) == streamEvents:
				skipped++
			default:
				out = append(out, c.eventJSON(e))
			}
		}
		lost += some[0].seq - s.next
		s.next = some[len(some)-1].seq + 1
	}
	if len(out) == 0 && skipped == 0 && lost == 0 {
		return nil
	}
	if s.out = out; out == nil {
		out = []eventJSON{}
	}
	return s.send("events", s.next-1, struct {
		Events  []eventJSON `json:"events"`
		Skipped int         `json:"skipped"`
		Lost    uint64      `json:"lost"`
		Newest  uint64      `json:"newest"`
	}{out, skipped, lost, s.next - 1})
}

func (s *stream) figures() error { return s.send("now", 0, s.console.now(s.call.attached)) }

// traces tells that those that are armed have news.
func (s *stream) traces() error {
	if news := s.console.traces.news.Load(); news != s.traced {
		s.traced = news
		return s.send("trace", 0, struct {
			News uint64 `json:"news"`
		}{news})
	}
	return nil
}

func (s *stream) send(event string, id uint64, data any) error {
	encoded, err := json.Marshal(data)
	if err != nil {
		return err
	}
	text := "event: " + event + "\n"
	if id > 0 {
		text += "id: " + strconv.FormatUint(id, 10) + "\n"
	}
	return s.write(text + "data: " + string(encoded) + "\n\n")
}

func (s *stream) write(text string) error {
	// Not every server can; its own time-out has to do then.
	_ = s.control.SetWriteDeadline(time.Now().Add(streamTimeout))
	if _, err := s.call.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.control.Flush()
}
