package console

import (
	"crypto/rand"
	"errors"
	"net/http"

	"github.com/carillon-rt/carillon/broker"
)

// toPublish is an event that somebody sends from the console.
type toPublish struct {
	App     string `json:"app"`
	Channel string `json:"channel"`
	Event   string `json:"event"`
	Data    string `json:"data"`
	JSON    bool   `json:"json"`
	Exclude string `json:"exclude"`
	User    string `json:"user"`
	Trace   bool   `json:"trace"`
}

type refusedJSON struct {
	Code   string `json:"code"`
	Reason string `json:"reason"`
	Text   string `json:"text"`
}

type publishedJSON struct {
	ID       string       `json:"id,omitempty"`
	Seq      uint64       `json:"seq,omitempty"`
	Position string       `json:"position,omitempty"`
	Refused  *refusedJSON `json:"refused,omitempty"`
}

// publish sends an event as the program does, hooks and limits included. What it is refused
// for is an answer and no error: somebody wants to see what happens.
func (c *Console) publish(k *call) (any, error) {
	var p toPublish
	if err := k.body(&p); err != nil {
		return nil, err
	}
	if p.App == "" {
		return nil, invalid("app", "is missing")
	}
	if err := broker.CheckChannelName(p.Channel); err != nil {
		return nil, err
	}
	if p.Trace && !c.traces.armedFor(p.App, p.Channel) {
		if err := c.armFor(k.broker, &arm{app: p.App, channel: p.Channel}, armForPublish); err != nil {
			return nil, c.tooManyArms()
		}
	}
	id := "console-" + rand.Text()
	options := []broker.PublishOption{broker.WithID(id), func(r *broker.PublishRequest) { r.JSON = p.JSON }}
	if p.Exclude != "" {
		options = append(options, broker.Exclude(p.Exclude))
	}
	if p.User != "" {
		options = append(options, broker.AsUser(p.User))
	}
	_, before, _ := c.journal.bounds()
	done, err := k.broker.App(p.App).Publish(k.r.Context(), p.Channel, p.Event, []byte(p.Data), options...)
	var out publishedJSON
	if err != nil {
		if errors.Is(err, broker.ErrShutdown) {
			return nil, err
		}
		reason, _ := reasonOf(err)
		out.Refused = &refusedJSON{codeOf(err), reason, errorText(err)}
	} else {
		out.ID, out.Position = id, positionOf(done.Position)
	}
	out.Seq = c.entryOf(before, p, id, err != nil)
	c.acted(k, "event published", "app", p.App, "channel", p.Channel, "event", p.Event, "id", id)
	return out, nil
}

// entryOf finds the entry of the log that tells of an event which was just published.
func (c *Console) entryOf(from uint64, p toPublish, id string, refused bool) uint64 {
	var some []logged
	for {
		if some = c.journal.read(from, some); len(some) == 0 {
			return 0
		}
		for i := range some {
			e := &some[i]
			if e.text(textApp) != p.App {
				continue
			}
			if !refused && e.text(textID) == id || refused && e.kind == kindRefusePublish && e.text(textChannel) == p.Channel && e.text(textEvent) == p.Event {
				return e.seq
			}
		}
		from = some[len(some)-1].seq + 1
	}
}

func codeOf(err error) string {
	if errors.Is(err, broker.ErrInvalid) {
		return "bad_request"
	}
	if errors.Is(err, broker.ErrRefused) {
		return "refused"
	}
	return "failed"
}

// armedFor reports whether something is armed for a channel.
func (t *traces) armedFor(app, channel string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, a := range t.arms {
		if a.app == app && a.channel == channel {
			return true
		}
	}
	return false
}

var errNoKey = &apiError{status: http.StatusNotImplemented, Code: "not_supported", Text: "The console does not know this app's key and secret."}
