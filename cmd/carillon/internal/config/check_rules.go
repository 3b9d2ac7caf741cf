package config

import (
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/ratelimit"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/transport"
)

// maxRewind is half of what may wait for a connection.
const maxRewind = transport.DefaultQueueMessages / 2

// rules makes those of the apps, which decide first, and those for all apps.
func (k *checker) rules() {
	for i := range k.c.Apps {
		a := &k.c.Apps[i]
		for j := range a.Channels {
			rule := &a.Channels[j]
			if rule.App != "" {
				k.wrong(&rule.App, "is the app that it stands under: leave it out")
			}
			k.rule(rule, a.ID)
		}
	}
	known := func(id string) bool {
		return slices.ContainsFunc(k.c.Apps, func(a App) bool { return a.ID == id })
	}
	for i := range k.c.Channels {
		rule := &k.c.Channels[i]
		if rule.App != "" && !known(rule.App) && !k.broken {
			k.wrong(&rule.App, "there is no app with the ID %q", rule.App)
		}
		k.rule(rule, rule.App)
	}
	k.warnOfHidden()
}

func (k *checker) rule(r *Channel, app string) {
	if r.Pattern == "" {
		if !k.broken {
			k.wrong(r, `pattern is missing: it says which channels are meant, such as "presence-room-*"`)
		}
		return
	}
	made := broker.ChannelRule{
		Pattern: r.Pattern, App: app, History: storage.Retention{Events: r.History, Age: r.HistoryAge}, SkipClientEvents: !r.ClientHistory,
		Rewind: r.Rewind, Reach: broker.Reach{Events: r.ReachEvents, Age: r.ReachAge}, CacheTTL: r.CacheTTL, LeaveGrace: r.LeaveGrace,
		MaxMembers: r.MaxMembers, MaxSubscribers: r.MaxSubscribers,
	}
	readers := map[string]broker.Readers{"all": broker.AnySubscriber, "users": broker.OnlyUsers, "none": broker.NoSubscriber}
	publishers := map[string]broker.Publishers{"all": broker.Anyone, "server": broker.OnlyServer, "clients": broker.OnlyClients}
	ok := true
	if made.Reach.Readers, ok = readers[r.Readers]; !ok {
		k.wrong(&r.Readers, "%q is none of all, users, none", r.Readers)
	}
	if made.Publishers, ok = publishers[r.Publishers]; !ok {
		k.wrong(&r.Publishers, "%q is none of all, server, clients", r.Publishers)
	}
	if r.Rewind > maxRewind {
		k.wrong(&r.Rewind, "%d is more than %d: all of them wait for the connection at once", r.Rewind, maxRewind)
		made.Rewind = 0
	}
	// The library names one mistake; the next shows when that one is out of the way.
	for range 10 {
		_, err := broker.New(broker.WithChannelRules(made))
		var wrong *broker.FieldError
		if !errors.As(err, &wrong) {
			break
		}
		_, name, _ := strings.Cut(wrong.Field, "].")
		field, reset := r.blame(name, &made)
		if field == nil {
			k.wrong(r, "%s", wrong.Error())
			break
		}
		k.wrong(field, "%s", strings.ReplaceAll(problemOf(wrong), "History.Events", "history"))
		reset()
	}
	k.c.ChannelRules = append(k.c.ChannelRules, made)
}

// blame finds the field that the library means, and how to put it out of the way.
func (r *Channel) blame(name string, made *broker.ChannelRule) (field any, reset func()) {
	switch name {
	case "Pattern":
		return &r.Pattern, func() { made.Pattern = "*" }
	case "History.Events":
		return &r.History, func() { made.History = storage.Retention{}; made.Rewind = 0 }
	case "History.Age":
		return &r.HistoryAge, func() { made.History.Age = 0 }
	case "Rewind":
		return &r.Rewind, func() { made.Rewind = 0 }
	case "Reach.Events":
		return &r.ReachEvents, func() { made.Reach.Events = 0 }
	case "Reach.Age":
		return &r.ReachAge, func() { made.Reach.Age = 0 }
	case "CacheTTL":
		return &r.CacheTTL, func() { made.CacheTTL = 0 }
	case "LeaveGrace":
		return &r.LeaveGrace, func() { made.LeaveGrace = 0 }
	case "MaxMembers":
		return &r.MaxMembers, func() { made.MaxMembers = 0 }
	case "MaxSubscribers":
		return &r.MaxSubscribers, func() { made.MaxSubscribers = 0 }
	}
	return nil, nil
}

// warnOfHidden warns of rules that decide nothing, since one before them has the same
// pattern or takes all channels.
func (k *checker) warnOfHidden() {
	var all []*Channel
	apps := make(map[*Channel]string)
	for i := range k.c.Apps {
		for j := range k.c.Apps[i].Channels {
			r := &k.c.Apps[i].Channels[j]
			all, apps[r] = append(all, r), k.c.Apps[i].ID
		}
	}
	for i := range k.c.Channels {
		all, apps[&k.c.Channels[i]] = append(all, &k.c.Channels[i]), k.c.Channels[i].App
	}
	for i, r := range all {
		for _, before := range all[:i] {
			if r.Pattern == "" || apps[before] != "" && apps[before] != apps[r] || before.Pattern != "*" && before.Pattern != r.Pattern {
				continue
			}
			if at := k.at(&before.Pattern); at != "" && k.set(&r.Pattern) {
				k.warn(&r.Pattern, "decides nothing: the first rule that matches a channel does, which is that on %s", at)
			}
			break
		}
	}
}

// The words of [[rate_limits]].
var (
	actions = map[string]ratelimit.Action{"connect": ratelimit.Connect, "subscribe": ratelimit.Subscribe, "client_event": ratelimit.ClientEvent,
		"publish": ratelimit.Publish, "sign_in": ratelimit.SignIn}
	fields = map[string]ratelimit.Field{"app": ratelimit.ByApp, "ip": ratelimit.ByIP, "user": ratelimit.ByUser, "session": ratelimit.BySession,
		"channel": ratelimit.ByChannel, "event": ratelimit.ByEvent}
)

func (k *checker) rateLimits() {
	names := make(map[string]*string)
	for i := range k.c.RateLimits {
		r := &k.c.RateLimits[i]
		made := ratelimit.Rule{Name: r.Name, Action: actions[r.Action], Limit: ratelimit.Limit{Rate: r.Rate, Burst: r.Burst}, Match: r.matches()}
		switch other := names[r.Name]; {
		case r.Name == "":
			k.wrong(r, "name is missing: clients are told it, and refusals are counted by it")
		case other != nil:
			k.wrong(&r.Name, "%q is the name of another too, on %s", r.Name, k.at(other))
		}
		names[r.Name] = &r.Name
		if made.Action == 0 {
			k.wrong(k.orTable(&r.Action, r), "action %q is none of connect, subscribe, client_event, publish, sign_in", r.Action)
		}
		for j := range r.By {
			by := fields[r.By[j]]
			if by == 0 {
				k.wrong(&r.By[j], "%q is none of app, ip, user, session, channel, event", r.By[j])
				continue
			}
			made.By = append(made.By, by)
		}
		if r.Cost == "bytes" {
			made.Cost = func(req ratelimit.Request) int { return req.Size }
		} else if r.Cost != "" && r.Cost != "one" {
			k.wrong(&r.Cost, "%q is neither one nor bytes", r.Cost)
		}
		if _, err := path.Match(r.Channels, ""); err != nil {
			k.wrong(&r.Channels, "%q is not a pattern", r.Channels)
		}
		if r.Burst == 0 && !k.set(&r.Burst) {
			made.Limit.Burst = max(int(2*r.Rate), 1)
		}
		k.tryRate(r, made)
		k.c.Rates = append(k.c.Rates, made)
	}
}

// orTable is a field, or the table it should be in.
func (k *checker) orTable(field, table any) any {
	if k.set(field) {
		return field
	}
	return table
}

// tryRate has the library check the numbers.
func (k *checker) tryRate(r *RateLimit, made ratelimit.Rule) {
	_, err := ratelimit.New(nil, ratelimit.Rule{Name: "x", Action: ratelimit.Connect, Limit: made.Limit})
	var wrong *ratelimit.RuleError
	if !errors.As(err, &wrong) {
		return
	}
	var field any = &r.Rate
	if wrong.Field == "Limit.Burst" {
		field = &r.Burst
	}
	k.wrong(k.orTable(field, r), "%s %s", strings.ToLower(strings.TrimPrefix(wrong.Field, "Limit.")), wrong.Problem)
}

// matches says which requests a limit is for; nil for all of its action.
func (r *RateLimit) matches() func(ratelimit.Request) bool {
	if r.Channels == "" && len(r.Apps) == 0 {
		return nil
	}
	pattern, apps := strings.ReplaceAll(r.Channels, "/", "\x00"), r.Apps
	return func(req ratelimit.Request) bool {
		if len(apps) > 0 && !slices.Contains(apps, req.App) {
			return false
		}
		if pattern == "" {
			return true
		}
		ok, _ := path.Match(pattern, strings.ReplaceAll(req.Channel, "/", "\x00"))
		return ok
	}
}
