package console

import (
	"iter"
	"slices"

	"github.com/carillon-rt/carillon/broker"
)

type queueJSON struct {
	Messages     int `json:"messages"`
	Bytes        int `json:"bytes"`
	MessageLimit int `json:"messageLimit"`
	ByteLimit    int `json:"byteLimit"`
}

type sessionItem struct {
	App          string    `json:"app"`
	ID           string    `json:"id"`
	IP           string    `json:"ip,omitempty"`
	User         string    `json:"user,omitempty"`
	Since        int64     `json:"since"`
	Transport    string    `json:"transport"`
	Secure       bool      `json:"secure"`
	Queue        queueJSON `json:"queue"`
	Channels     int       `json:"channels"`
	LastReceived int64     `json:"lastReceived"`
}

// usualMembers is how many of a session's subscriptions are looked through for the member
// that it is, where it has not signed in.
const usualMembers = 64

func (c *Console) sessionItem(s *broker.Session) sessionItem {
	info, queue := s.Conn().Info(), s.Conn().Queue()
	some, total := s.Channels(usualMembers)
	return sessionItem{App: s.App(), ID: s.ID(), IP: c.shownIP(s.IP()), User: userOf(s, memberOf(some)), Since: millis(s.Since()),
		Transport: info.Transport, Secure: info.Secure,
		Queue:    queueJSON{queue.Messages, queue.Bytes, queue.MessageLimit, queue.ByteLimit},
		Channels: total, LastReceived: millis(s.Conn().LastReceived())}
}

func memberOf(of []broker.ChannelSession) string {
	for _, s := range of {
		if s.UserID != "" {
			return s.UserID
		}
	}
	return ""
}

// sessions lists the clients that are connected.
func (c *Console) sessions(k *call) (any, error) {
	l, sort, err := k.listing("since", "queue", "channels", "id")
	if err != nil {
		return nil, err
	}
	all, err := c.chosen(k)
	if err != nil {
		return nil, err
	}
	done, err := c.scan(k)
	if err != nil {
		return nil, err
	}
	defer done()
	var found iter.Seq2[sortKey, *broker.Session] = func(yield func(sortKey, *broker.Session) bool) {
		for s := range all {
			if !yield(sessionKey(s, sort), s) {
				return
			}
		}
	}
	return answerOf(found, l, c.sessionItem), nil
}

func sessionKey(s *broker.Session, sort string) sortKey {
	key := sortKey{0, s.ID(), s.App()}
	switch sort {
	case "since":
		key.n = s.Since().UnixNano()
	case "queue":
		key.n = int64(s.Conn().Queue().Bytes) + 1 // 0 is for what is sorted by name only
	case "channels":
		_, n := s.Channels(0)
		key.n = int64(n) + 1
	}
	return key
}

// chosen yields the sessions that a call's filters let through.
func (c *Console) chosen(k *call) (iter.Seq[*broker.Session], error) {
	app, user, transport := k.query.Get("app"), k.query.Get("user"), k.query.Get("transport")
	named, channel := part(k.query.Get("q")), k.query.Get("channel")
	all := k.broker.Sessions()
	if channel != "" {
		if err := broker.CheckChannelName(channel); err != nil {
			return nil, err
		}
		all = k.subscribedTo(channel)
	}
	return func(yield func(*broker.Session) bool) {
		for s := range all {
			if app != "" && s.App() != app || transport != "" && s.Conn().Info().Transport != transport ||
				user != "" && !isUser(s, user) || !c.named(s, named) {
				continue
			}
			if !yield(s) {
				return
			}
		}
	}, nil
}

// subscribedTo yields the sessions of all apps that are subscribed to a channel.
func (k *call) subscribedTo(channel string) iter.Seq[*broker.Session] {
	return func(yield func(*broker.Session) bool) {
		for _, app := range k.broker.Apps() {
			all, _, err := k.broker.App(app).Subscribers(channel, 1<<30)
			if err != nil {
				return
			}
			for _, s := range all {
				if !yield(s.Session) {
					return
				}
			}
		}
	}
}

// isUser reports whether a session is signed in as a user, or is the member.
func isUser(s *broker.Session, user string) bool {
	if u := s.User(); u != nil {
		return u.ID == user
	}
	some, _ := s.Channels(usualMembers)
	return slices.ContainsFunc(some, func(c broker.ChannelSession) bool { return c.UserID == user })
}

func (c *Console) named(s *broker.Session, text wanted) bool {
	if text.any() || text.in(s.ID()) || !c.redact.addresses && text.in(s.IP()) {
		return true
	}
	if u := s.User(); u != nil {
		return text.in(u.ID)
	}
	some, _ := s.Channels(usualMembers)
	return text.in(memberOf(some)) && memberOf(some) != ""
}

// sessionBy is the session that a call names.
func (k *call) sessionBy(id string) (*broker.Session, error) {
	if id == "" {
		return nil, invalid("id", "is missing")
	}
	s := k.broker.Session(id)
	if s == nil {
		return nil, notFound("This session has ended.")
	}
	return s, nil
}

type subscriptionJSON struct {
	Channel string `json:"channel"`
	Kind    string `json:"kind"`
	Member  string `json:"member,omitempty"`
}

func (c *Console) session(k *call) (any, error) {
	s, err := k.sessionBy(k.query.Get("id"))
	if err != nil {
		return nil, err
	}
	limit, err := k.limit()
	if err != nil {
		return nil, err
	}
	some, total := s.Channels(limit)
	out := struct {
		sessionItem
		UserInfo          string             `json:"userInfo,omitempty"`
		Watchlist         int                `json:"watchlist"`
		Subscriptions     []subscriptionJSON `json:"subscriptions"`
		MoreSubscriptions int                `json:"moreSubscriptions"`
	}{sessionItem: c.sessionItem(s), Subscriptions: make([]subscriptionJSON, len(some)), MoreSubscriptions: total - len(some)}
	if u := s.User(); u != nil {
		out.UserInfo, out.Watchlist = c.shownInfo(u.Info), len(u.Watchlist)
	}
	for i, sub := range some {
		out.Subscriptions[i] = subscriptionJSON{sub.Channel, broker.KindOf(sub.Channel).String(), sub.UserID}
	}
	slices.SortFunc(out.Subscriptions, func(a, b subscriptionJSON) int { return compareNames(a.Channel, b.Channel) })
	return out, nil
}

// okay is the answer to what has been done.
type okay struct {
	OK bool `json:"ok"`
}

func (c *Console) closeSession(k *call) (any, error) {
	var named struct {
		ID string `json:"id"`
	}
	if err := k.body(&named); err != nil {
		return nil, err
	}
	s, err := k.sessionBy(named.ID)
	if err != nil {
		return nil, err
	}
	s.Close(broker.CloseTerminated)
	c.acted(k, "session closed", "app", s.App(), "socket_id", s.ID())
	return okay{true}, nil
}

func (c *Console) terminateUser(k *call) (any, error) {
	var named struct {
		App  string `json:"app"`
		User string `json:"user"`
	}
	if err := k.body(&named); err != nil {
		return nil, err
	}
	if named.App == "" {
		return nil, invalid("app", "is missing")
	}
	n, err := k.broker.App(named.App).TerminateUser(k.r.Context(), named.User)
	if err != nil {
		return nil, err
	}
	c.acted(k, "user terminated", "app", named.App, "user", named.User, "sessions", n)
	return struct {
		Sessions int `json:"sessions"`
	}{n}, nil
}

// acted logs what somebody has changed.
func (c *Console) acted(k *call, what string, args ...any) {
	c.log.InfoContext(k.r.Context(), "console: "+what, append(args, "remote", k.r.RemoteAddr)...)
}
