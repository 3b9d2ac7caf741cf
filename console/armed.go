package console

import (
	"fmt"
	"net/http"
	"time"

	"github.com/carillon-rt/carillon/broker"
)

// armTime is how long an arm lasts where nobody says otherwise, and armForPublish that of one
// for what the console itself publishes.
const (
	armTime       = 15 * time.Minute
	armForPublish = time.Minute
)

// armFor arms for a channel, a session or a user.
func (c *Console) armFor(b *broker.Broker, a *arm, lasts time.Duration) error {
	a.until = time.Now().Add(lasts)
	return c.traces.add(a, c.wantsChanged, func() map[string]*trackedSession {
		if a.user != "" {
			return trackUser(b, a.app, a.user, a.since)
		}
		found := make(map[string]*trackedSession)
		if s := b.Session(a.session); s != nil {
			found[a.session] = trackSession(s, a.since)
		}
		return found
	}, func() map[string]string {
		users := make(map[string]string)
		some, _, err := b.App(a.app).Subscribers(a.channel, c.limits.TracedSteps)
		if err != nil {
			return users
		}
		for _, s := range some {
			if s.UserID != "" {
				users[s.Session.ID()] = s.UserID
			}
		}
		return users
	})
}

// armJSON is an arm as the API has it.
type armJSON struct {
	ID        string `json:"id"`
	App       string `json:"app"`
	Channel   string `json:"channel,omitempty"`
	Session   string `json:"session,omitempty"`
	User      string `json:"user,omitempty"`
	Since     int64  `json:"since"`
	Until     int64  `json:"until"`
	Events    int    `json:"events"`
	Forgotten int    `json:"forgotten"`
	Steps     int    `json:"steps"`
}

func (a *arm) json() armJSON {
	out := armJSON{ID: a.id, App: a.app, Channel: a.channel, Session: a.session, User: a.user, Since: millis(a.since), Until: millis(a.until),
		Events: len(a.events), Forgotten: a.forgotten}
	for _, e := range a.events {
		out.Steps += e.steps
	}
	return out
}

func (c *Console) armed(*call) (any, error) {
	c.traces.mu.Lock()
	defer c.traces.mu.Unlock()
	list := []armJSON{}
	for _, a := range c.traces.arms {
		list = append(list, a.json())
	}
	return struct {
		Armed []armJSON `json:"armed"`
		Limit int       `json:"limit"`
	}{list, c.traces.most}, nil
}

func (c *Console) arm(k *call) (any, error) {
	var asked struct {
		App     string `json:"app"`
		Channel string `json:"channel"`
		Session string `json:"session"`
		User    string `json:"user"`
		Minutes int    `json:"minutes"`
	}
	if err := k.body(&asked); err != nil {
		return nil, err
	}
	given := 0
	for _, s := range []string{asked.Channel, asked.Session, asked.User} {
		if s != "" {
			given++
		}
	}
	switch {
	case asked.App == "":
		return nil, invalid("app", "is missing")
	case given != 1:
		return nil, invalid("channel", "has to be given, or a session or a user: one of them")
	}
	if asked.Channel != "" {
		if err := broker.CheckChannelName(asked.Channel); err != nil {
			return nil, err
		}
	}
	lasts := time.Duration(asked.Minutes) * time.Minute
	if asked.Minutes == 0 {
		lasts = min(armTime, c.limits.ArmedTime)
	}
	if lasts < time.Minute && asked.Minutes != 0 || lasts > c.limits.ArmedTime {
		return nil, invalid("minutes", fmt.Sprintf("has to be from 1 to %d", int(c.limits.ArmedTime.Minutes())))
	}
	if len(asked.Session) > maxParameter || len(asked.User) > maxParameter {
		return nil, invalid("session", "is too long, or user")
	}
	a := &arm{app: asked.App, channel: asked.Channel, session: asked.Session, user: asked.User}
	if err := c.armFor(k.broker, a, lasts); err != nil {
		return nil, c.tooManyArms()
	}
	c.traces.mu.Lock()
	defer c.traces.mu.Unlock()
	return a.json(), nil
}

func (c *Console) tooManyArms() error {
	return &apiError{status: http.StatusTooManyRequests, Code: "too_many",
		Text: fmt.Sprintf("%d traces are armed already: end one, or wait until it ends.", c.limits.Armed)}
}

func (c *Console) disarm(k *call) (any, error) {
	if !c.traces.remove(k.query.Get("id")) {
		return nil, notFound("This trace has ended.")
	}
	c.wantsChanged()
	return okay{true}, nil
}
