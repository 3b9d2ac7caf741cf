package console

import (
	"iter"
	"slices"

	"github.com/carillon-rt/carillon/broker"
)

type channelItem struct {
	App         string `json:"app"`
	Name        string `json:"name"`
	Kind        string `json:"kind"`
	Cache       bool   `json:"cache"`
	Subscribers int    `json:"subscribers"`
	InProcess   int    `json:"inProcess"`
	Rule        string `json:"rule,omitempty"`
}

// kinds are the words for those of channels.
var kinds = []broker.Kind{broker.Public, broker.Private, broker.Encrypted, broker.Presence, broker.ServerToUser}

func itemOf(c broker.OpenChannel) channelItem {
	return channelItem{App: c.ID.App, Name: c.ID.Name, Kind: c.Kind.Base().String(), Cache: c.Kind.Cache(),
		Subscribers: c.Sessions, InProcess: c.InProcess, Rule: c.Rule}
}

// channels lists those that have a subscription, without asking the store.
func (c *Console) channels(k *call) (any, error) {
	l, sort, err := k.listing("name", "subscribers")
	if err != nil {
		return nil, err
	}
	kind := k.query.Get("kind")
	if kind != "" && !slices.ContainsFunc(kinds, func(k broker.Kind) bool { return k.String() == kind }) {
		return nil, invalid("kind", "is not one of channels")
	}
	app, named := k.query.Get("app"), part(k.query.Get("q"))
	done, err := c.scan(k)
	if err != nil {
		return nil, err
	}
	defer done()
	var found iter.Seq2[sortKey, broker.OpenChannel] = func(yield func(sortKey, broker.OpenChannel) bool) {
		for open := range k.broker.OpenChannels() {
			if app != "" && open.ID.App != app || kind != "" && open.Kind.Base().String() != kind || !named.in(open.ID.Name) {
				continue
			}
			key := sortKey{0, open.ID.Name, open.ID.App}
			if sort == "subscribers" {
				key.n = int64(open.Sessions) + 1 // 0 is for what is sorted by name only
			}
			if !yield(key, open) {
				return
			}
		}
	}
	return answerOf(found, l, itemOf), nil
}

type ruleJSON struct {
	Pattern          string  `json:"pattern,omitempty"`
	HistoryEvents    int     `json:"historyEvents"`
	HistoryAgeMs     float64 `json:"historyAgeMs,omitempty"`
	Rewind           int     `json:"rewind,omitempty"`
	Reach            string  `json:"reach,omitempty"`
	Publishers       string  `json:"publishers"`
	SkipClientEvents bool    `json:"skipClientEvents,omitempty"`
	LeaveGraceMs     float64 `json:"leaveGraceMs,omitempty"`
	MaxMembers       int     `json:"maxMembers,omitempty"`
	MaxSubscribers   int     `json:"maxSubscribers,omitempty"`
	CacheTTLMs       float64 `json:"cacheTtlMs,omitempty"`
}

func ruleOf(r *broker.ChannelRule, channel string) ruleJSON {
	kept := r.Retention(channel)
	out := ruleJSON{Pattern: r.Pattern, HistoryEvents: kept.Events, HistoryAgeMs: ms(kept.Age), Rewind: r.Rewind,
		SkipClientEvents: r.SkipClientEvents, LeaveGraceMs: ms(r.LeaveGrace), MaxMembers: r.MaxMembers, MaxSubscribers: r.MaxSubscribers}
	out.Publishers = map[broker.Publishers]string{broker.OnlyServer: "server", broker.OnlyClients: "clients"}[r.Publishers]
	if out.Publishers == "" {
		out.Publishers = "anyone"
	}
	if broker.KindOf(channel).Cache() {
		out.CacheTTLMs = ms(r.CacheTTL)
		if r.CacheTTL == 0 {
			out.CacheTTLMs = ms(broker.DefaultCacheTTL)
		}
	}
	out.Reach = reachText(r.Reach)
	return out
}

type memberJSON struct {
	ID   string `json:"id"`
	Info string `json:"info,omitempty"`
}

type subscriberJSON struct {
	ID    string `json:"id"`
	User  string `json:"user,omitempty"`
	IP    string `json:"ip,omitempty"`
	Since int64  `json:"since"`
}

// channel describes one, whether anybody is subscribed or not.
func (c *Console) channel(k *call) (any, error) {
	app, err := k.app()
	if err != nil {
		return nil, err
	}
	limit, err := k.limit()
	if err != nil {
		return nil, err
	}
	name := k.query.Get("name")
	rule, err := app.Rule(name)
	if err != nil {
		return nil, err
	}
	some, total, err := app.Subscribers(name, limit)
	if err != nil {
		return nil, err
	}
	kind := broker.KindOf(name)
	out := struct {
		App          string           `json:"app"`
		Name         string           `json:"name"`
		Kind         string           `json:"kind"`
		Cache        bool             `json:"cache"`
		Occupied     bool             `json:"occupied"`
		Subscribers  int              `json:"subscribers"`
		MemberCount  int              `json:"memberCount"`
		Rule         ruleJSON         `json:"rule"`
		Kept         bool             `json:"kept"`
		Position     string           `json:"position,omitempty"`
		Sessions     []subscriberJSON `json:"sessions"`
		MoreSessions int              `json:"moreSessions"`
		Members      []memberJSON     `json:"members"`
		MoreMembers  int              `json:"moreMembers"`
		StoreError   string           `json:"storeError,omitempty"`
	}{App: app.ID(), Name: name, Kind: kind.Base().String(), Cache: kind.Cache(), Occupied: total > 0, Subscribers: total,
		Rule: ruleOf(&rule, name), Kept: rule.Retention(name).Events > 0,
		Sessions: make([]subscriberJSON, 0, len(some)), MoreSessions: total - len(some), Members: []memberJSON{}}
	for _, s := range some {
		out.Sessions = append(out.Sessions, subscriberJSON{s.Session.ID(), userOf(s.Session, s.UserID), c.shownIP(s.Session.IP()), millis(s.Session.Since())})
	}
	if kind.Base() == broker.Presence {
		members, err := app.Members(k.r.Context(), name)
		if err != nil {
			out.StoreError = err.Error()
		}
		out.MemberCount = len(members)
		out.MoreMembers = max(len(members)-limit, 0)
		for _, m := range members[:min(len(members), limit)] {
			out.Members = append(out.Members, memberJSON{m.UserID, c.shownInfo(m.Info)})
		}
	}
	if out.Kept && out.StoreError == "" {
		at, err := app.Latest(k.r.Context(), name)
		if err != nil {
			out.StoreError = err.Error()
		}
		out.Position = positionOf(at)
	}
	return out, nil
}

// userOf is who a session is: who it has signed in as or, failing that, the member.
func userOf(s *broker.Session, member string) string {
	if u := s.User(); u != nil {
		return u.ID
	}
	return member
}

// deleteHistory deletes what a channel has kept.
func (c *Console) deleteHistory(k *call) (any, error) {
	app, err := k.app()
	if err != nil {
		return nil, err
	}
	name := k.query.Get("name")
	if err := broker.CheckChannelName(name); err != nil {
		return nil, err
	}
	if err := app.DeleteHistory(k.r.Context(), name); err != nil {
		return nil, err
	}
	c.acted(k, "history deleted", "app", app.ID(), "channel", name)
	return okay{true}, nil
}
