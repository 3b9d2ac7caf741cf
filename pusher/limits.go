package pusher

import (
	"strconv"

	"github.com/carillon-rt/carillon/broker"
)

// Limits bound the sizes and counts of what clients and backends of an app may send. A
// zero value means the default. How often something may be done by IP, user or channel
// is for a ratelimit.Rule: see broker.WithRateLimits.
type Limits struct {
	// EventBytes bounds an event's data, in bytes, from clients and over the
	// HTTP API. Where it is raised above 32 KiB or so, what an event comes in has
	// to be as well: RequestBytes, websocket.WithReadLimit and xhr.WithReadLimit,
	// and above 1 MiB broker.WithMaxEventBytes.
	EventBytes int
	// EventNameChars bounds an event's name, in characters, up to 200.
	EventNameChars int
	// ChannelsPerEvent bounds the channels that one request publishes to.
	ChannelsPerEvent int
	// EventsPerBatch bounds the events of a batch.
	EventsPerBatch int
	// PresenceMembers bounds the members of a presence channel.
	PresenceMembers int
	// UserInfoBytes bounds a member's user_info and a user's, in bytes.
	UserInfoBytes int
	// Watchlist bounds the users that a user may watch.
	Watchlist int
	// ClientEventsPerSecond bounds what one connection sends to others; a
	// negative value sets no bound.
	ClientEventsPerSecond int
	// RequestBytes bounds the body of a request to the HTTP API, in bytes. It is
	// at least EventBytes; a batch has to fit as well.
	RequestBytes int

	// The limits below are for one connection; a negative value sets no bound.

	// ChannelsPerConnection bounds the channels that a connection is subscribed to,
	// AuthorizedChannelsPerConnection those of one that has signed in or has subscribed
	// to a channel that needs authorization, from then on. Raise the first for clients
	// that subscribe to more public channels than that when they reconnect, before they
	// have signed in or been authorized.
	ChannelsPerConnection, AuthorizedChannelsPerConnection int
	// SubscribesPerSecond bounds a connection's subscriptions. As many as it may
	// have channels may come at once, as they do when a client reconnects.
	SubscribesPerSecond int
	// MessagesPerSecond bounds a connection's messages of all kinds, of which each
	// 4 KiB count as one besides; that many may come at once. One that is answered by
	// a pong or an error counts as ten, as does a sign-in; a subscription that comes
	// about, and its end, count by their size only, unless SubscribesPerSecond sets
	// no bound. What is over the rate is handled late: until then nothing more is
	// read from the connection. Where ClientEventsPerSecond is raised, this is raised
	// by as much if it is not given.
	MessagesPerSecond int
	// PastBytesPerSecond bounds what a connection gets for subscribing, in bytes:
	// past events, cached ones included, and lists of members. As much as
	// broker.PastBytesPerChannel for each channel that it may have may come at once.
	PastBytesPerSecond int
	// UnreadAnswerBytes bounds the errors and pongs that wait for a client that does
	// not read them, in bytes as they are sent; further ones are not sent, and counted
	// in Stats.AnswersDropped.
	UnreadAnswerBytes int
}

// DefaultLimits are the limits of the hosted service, and for what that does not limit,
// values far above the needs of clients. Do not change it.
var DefaultLimits = Limits{
	EventBytes:            10 << 10,
	EventNameChars:        broker.MaxEventName,
	ChannelsPerEvent:      100,
	EventsPerBatch:        10,
	PresenceMembers:       100,
	UserInfoBytes:         1 << 10,
	Watchlist:             100,
	ClientEventsPerSecond: 10,
	RequestBytes:          1 << 20,

	ChannelsPerConnection:           1000,
	AuthorizedChannelsPerConnection: 10_000,
	SubscribesPerSecond:             100,
	MessagesPerSecond:               1000,
	PastBytesPerSecond:              256 << 10,
	UnreadAnswerBytes:               64 << 10,
}

func (l Limits) withDefaults() Limits {
	if l.MessagesPerSecond == 0 {
		l.MessagesPerSecond = DefaultLimits.MessagesPerSecond + max(l.ClientEventsPerSecond, 0)
		if l.ClientEventsPerSecond < 0 {
			l.MessagesPerSecond = -1
		}
	}
	for _, field := range []struct {
		value    *int
		fallback int
	}{
		{&l.EventBytes, DefaultLimits.EventBytes},
		{&l.EventNameChars, DefaultLimits.EventNameChars},
		{&l.ChannelsPerEvent, DefaultLimits.ChannelsPerEvent},
		{&l.EventsPerBatch, DefaultLimits.EventsPerBatch},
		{&l.PresenceMembers, DefaultLimits.PresenceMembers},
		{&l.UserInfoBytes, DefaultLimits.UserInfoBytes},
		{&l.Watchlist, DefaultLimits.Watchlist},
		{&l.ClientEventsPerSecond, DefaultLimits.ClientEventsPerSecond},
		{&l.RequestBytes, DefaultLimits.RequestBytes},
		{&l.ChannelsPerConnection, DefaultLimits.ChannelsPerConnection},
		{&l.AuthorizedChannelsPerConnection, DefaultLimits.AuthorizedChannelsPerConnection},
		{&l.SubscribesPerSecond, DefaultLimits.SubscribesPerSecond},
		{&l.PastBytesPerSecond, DefaultLimits.PastBytesPerSecond},
		{&l.UnreadAnswerBytes, DefaultLimits.UnreadAnswerBytes},
	} {
		if *field.value == 0 {
			*field.value = field.fallback
		}
	}
	for _, open := range []*int{&l.ClientEventsPerSecond, &l.ChannelsPerConnection, &l.AuthorizedChannelsPerConnection,
		&l.SubscribesPerSecond, &l.MessagesPerSecond, &l.PastBytesPerSecond, &l.UnreadAnswerBytes} {
		*open = max(*open, 0)
	}
	return l
}

// session is what the broker sees to.
func (l *Limits) session() broker.SessionLimits {
	return broker.SessionLimits{Channels: l.ChannelsPerConnection, AuthorizedChannels: l.AuthorizedChannelsPerConnection,
		SubscribesPerSecond: l.SubscribesPerSecond, PastBytesPerSecond: l.PastBytesPerSecond,
		ClientEventsPerSecond: l.ClientEventsPerSecond}
}

func (l *Limits) check(path string) error {
	for _, f := range []struct {
		name  string
		value int
	}{
		{"EventBytes", l.EventBytes}, {"EventNameChars", l.EventNameChars}, {"ChannelsPerEvent", l.ChannelsPerEvent},
		{"EventsPerBatch", l.EventsPerBatch}, {"PresenceMembers", l.PresenceMembers}, {"UserInfoBytes", l.UserInfoBytes},
		{"Watchlist", l.Watchlist}, {"RequestBytes", l.RequestBytes},
	} {
		if f.value < 0 {
			return &broker.FieldError{Field: path + "Limits." + f.name, Value: strconv.Itoa(f.value), Problem: "is negative"}
		}
	}
	d := l.withDefaults()
	if least, most := d.ChannelsPerConnection, d.AuthorizedChannelsPerConnection; most > 0 && (least == 0 || least > most) {
		return &broker.FieldError{Field: path + "Limits.ChannelsPerConnection",
			Problem: "is more than AuthorizedChannelsPerConnection", Limit: most, Got: least}
	}
	if room := d.RequestBytes; l.EventBytes > room {
		return &broker.FieldError{Field: path + "Limits.EventBytes", Problem: "is more than RequestBytes", Limit: room, Got: l.EventBytes}
	}
	return nil
}
