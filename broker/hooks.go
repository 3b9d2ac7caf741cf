package broker

import (
	"context"
	"net/textproto"
	"strings"
	"time"

	"github.com/carillon-rt/carillon/presence"
	"github.com/carillon-rt/carillon/storage"
)

// Hooks let a program decide what its clients may do, and tell it what has happened.
// Any of them may be nil; several sets may be used side by side, see WithHooks and
// Broker.AddHooks.
//
// The first six decide: they run before a request has any effect, and may change it,
// or refuse it by returning an error. They may block until their context ends, and
// delay only the connection or publisher that made the request. They are called
// concurrently. Refuse tells the client why. A panic refuses, and is counted in Stats.
//
// The others inform: they run afterwards, one at a time and in the order of what
// happened, on a goroutine that a set of hooks has to itself. Where a hook tells of
// what one session has done, its context has the values of the session's context. It
// does not end with the connection, but when the broker has been shut down, or the time
// is over that Shutdown leaves to hooks; its cause is then ErrShutdown.
//
// What waits for a set is bounded by 32 768 calls, and 8 MiB, of each kind: sessions,
// subscriptions, members, users, channels, counts, cache misses, gaps, client events and
// published events. A set that falls further behind is not called for further counts,
// cache misses, gaps and events. Of sessions, subscriptions, members, users and channels
// it is told later, when there is room again, how they are by then; what began and ended
// in between is left out. All calls that are never made are counted in Stats.
//
// Hooks may call the broker, with one exception: Shutdown waits for the hooks, so a
// hook that wants to call it does so on a goroutine of its own. While Shutdown ends
// sessions and members, hooks are called and may publish: their events are stored, and
// handed out to in-process subscriptions. They get ErrShutdown only when the last hook
// has been called, or the time for that is over.
type Hooks struct {
	// Connect decides whether a client may connect.
	Connect func(context.Context, *ConnectRequest) error
	// Authorize decides about a subscription to a channel that needs it. It may
	// set Authorized, even where the client brought no valid signature.
	Authorize func(context.Context, *SubscribeRequest) error
	// Subscribe decides about every subscription of a session, after Authorize.
	Subscribe func(context.Context, *SubscribeRequest) error
	// ClientEvent decides about an event that a client sends to others.
	ClientEvent func(context.Context, *ClientEventRequest) error
	// Publish decides about an event that the server side publishes, in process
	// or over HTTP.
	Publish func(context.Context, *PublishRequest) error
	// Amend decides about a change of an event in the history, by the server side or by
	// a client. Clients may amend only what it sets AmendRequest.Allowed for:
	//
	//	r.Allowed = r.Allowed || r.Own() && time.Since(r.Target.Time) < time.Hour
	//
	// It may be asked again about one amendment, if the event has changed meanwhile.
	Amend func(context.Context, *AmendRequest) error

	// Wants, if set, reports whether the named hook is to be called for an app. Where
	// it says no, nothing is queued: so hooks for few apps cost the others nothing. It
	// is called concurrently, before what happens goes on, so it should be fast, and it
	// must not call the broker. nil means that all informing hooks are called for all
	// apps.
	Wants func(app string, hook InformingHook) bool

	// Connected and Disconnected tell of sessions.
	Connected    func(context.Context, SessionChange)
	Disconnected func(context.Context, SessionChange)
	// Subscribed tells of a session that has subscribed to a channel, after
	// ChannelOccupied and MemberJoined, and Unsubscribed of one that no longer is,
	// before MemberLeft and ChannelVacated. A session that ends is unsubscribed from
	// all of its channels first.
	Subscribed   func(context.Context, SubscriptionChange)
	Unsubscribed func(context.Context, SubscriptionChange)
	// MemberJoined and MemberLeft tell of users on presence channels.
	MemberJoined func(context.Context, MemberChange)
	MemberLeft   func(context.Context, MemberChange)
	// UserOnline tells of a user whose first connection signed in, UserOffline
	// of one whose last one has gone.
	UserOnline  func(context.Context, UserChange)
	UserOffline func(context.Context, UserChange)
	// ChannelOccupied tells of a channel that has its first client subscription,
	// before MemberJoined, and ChannelVacated of one that has lost the last, after
	// MemberLeft unless the rule has a LeaveGrace. On a presence store that is shared
	// they tell of all brokers on it together, soon after, in no order with
	// MemberJoined and MemberLeft.
	ChannelOccupied func(context.Context, ChannelChange)
	ChannelVacated  func(context.Context, ChannelChange)
	// SubscriptionCount tells of the number of client subscriptions of a
	// channel, at most every 5 s above 100, and never of 0: see ChannelVacated.
	SubscriptionCount func(context.Context, ChannelChange)
	// Gap tells of a channel whose subscribers on this node miss events that were
	// published: the store has lost them, or could not be read for too long. Clients
	// that keep positions are told of the gap as well.
	Gap func(context.Context, ChannelChange)
	// CacheMissed tells of a subscription to a cache channel that has no event.
	CacheMissed func(context.Context, ChannelChange)
	// ClientEventSent tells of an event that a client has sent to others.
	ClientEventSent func(context.Context, EventChange)
	// Published tells of an event of the server side that this node has handed out: one
	// published in process or over HTTP, and one that was put into the store by others,
	// if anybody is subscribed to its channel here. The events of a channel come in
	// their order; a retry that publishes nothing is left out. A hook that publishes is
	// called for its own events as well.
	Published func(context.Context, EventChange)
}

// ConnectRequest is a client that wants to connect. Hooks cannot change App.
type ConnectRequest struct {
	// App is the ID of the app.
	App string
	// IP is the client's address without a port, as far as it is known.
	IP string
	// Origin is the page's origin as the browser states it; empty elsewhere.
	Origin string
	// Client and Version are what the client says of itself.
	Client, Version string
	// Transport is the transport's name, such as "websocket".
	Transport string
	// Secure says that the connection is encrypted.
	Secure bool
	// Header holds the headers of the client's HTTP request, cookies among them: see
	// Cookie. It is nil where there is no request, and must not be changed.
	//
	// A browser sends cookies with whatever page connects. Where they decide, let
	// pages of your own origin connect only, which is the default.
	Header textproto.MIMEHeader
}

// Cookie returns the value of the first cookie with this name that the client has
// sent.
func (r *ConnectRequest) Cookie(name string) (value string, ok bool) {
	for _, line := range r.Header["Cookie"] {
		for pair := range strings.SplitSeq(line, ";") {
			n, value, ok := strings.Cut(strings.TrimSpace(pair), "=")
			if ok && n == name {
				if len(value) > 1 && value[0] == '"' && value[len(value)-1] == '"' {
					value = value[1 : len(value)-1]
				}
				return value, true
			}
		}
	}
	return "", false
}

// SubscribeRequest is a session that wants to subscribe to a channel. Hooks cannot
// change Session, Channel and Kind.
type SubscribeRequest struct {
	Session *Session
	Channel string
	Kind    Kind
	// Authorized says that the subscription is allowed: the channel needs no
	// authorization, or the client brought a valid signature.
	Authorized bool
	// Expires is when the authorization ends; zero for never. The connection is then
	// closed so that its client connects again at once, and asks for authorization
	// anew, which clients do at no other time. Hooks may set it on any channel.
	Expires time.Time
	// Member is who the subscriber is on a presence channel; nil elsewhere. A presence
	// channel without one takes the signed-in user. A user who is on the channel with
	// another connection already keeps the Info of the first one until the last has
	// left. What hooks set is checked as what clients send: the ID, and that the Info
	// is JSON and within the limit.
	Member *presence.Member
	// Rewind is the number of past events the subscriber will get first: the
	// rule's, unless a hook sets another.
	Rewind int
	// After resumes: the subscriber gets every event after this position first,
	// instead of a rewind. More than 8192 of them, or 2 MiB, is a gap: they have
	// to fit into the queue of its connection. So is the zero Position, which is
	// nobody's. A hook that takes After away makes it a gap as well.
	After *Position
	// Reach bounds what the subscriber may read of what the channel has kept, now and
	// later: the rule's, unless a hook sets another.
	Reach Reach
	// Protocol, if set, speaks to the subscriber on this channel instead of the
	// session's, and the subscriber keeps positions: where an event is not for it, it
	// is sent a PositionNotice instead. Hooks cannot change it.
	Protocol Protocol
	// Sockets are earlier socket IDs of the same client, which has set Protocol. Events
	// that are not for them, or that they have sent, are left out, as are those of the
	// session itself. Hooks cannot change it.
	Sockets []string
	// Again lets a subscription that there is already begin anew instead of being
	// refused. Nobody else is told. Hooks cannot change it.
	Again bool
}

// ClientEventRequest is an event that a session wants to send to the other
// subscribers of a channel. Hooks cannot change Session and Channel.
type ClientEventRequest struct {
	Session *Session
	Channel string
	Event   string
	// Data is the payload; see Event.Data and Event.JSON.
	Data []byte
	JSON bool
	// UserID is the sender on a presence channel, or the signed-in user.
	UserID string
}

// PublishRequest is an event to publish to one channel.
type PublishRequest struct {
	// App is set by the broker.
	App     string
	Channel string
	Event   string
	// Data is the payload, and is taken over: it must not be changed
	// afterwards. See Event.Data and Event.JSON.
	Data []byte
	JSON bool
	// ExcludeSocketID is a connection that shall not get the event.
	ExcludeSocketID string
	// UserID is the user in whose name the event is published; empty for none.
	UserID string
	// ID is the event's, if the publisher has chosen one: see WithID.
	ID string
	// IdempotencyKey makes a retry within 5 minutes a no-op: see the option.
	IdempotencyKey string
	// Sealed says that Data is already encrypted for an encrypted channel.
	Sealed bool
}

// SessionChange tells of a session that connected or ended.
type SessionChange struct {
	Session *Session
	// CloseCode is how the session ended; 0 for one that connected.
	CloseCode int
	Time      time.Time
}

// MemberChange tells of a user who joined or left a presence channel.
type MemberChange struct {
	App, Channel string
	Member       presence.Member
	Time         time.Time
}

// UserChange tells of a user who went online or offline.
type UserChange struct {
	App, UserID string
	// Time is when it happened: for a user who went offline, when the user was
	// last seen.
	Time time.Time
}

// ChannelChange is what hooks are told of a channel.
type ChannelChange struct {
	App, Channel string
	// SubscriptionCount is the number of client subscriptions on this node.
	SubscriptionCount int
	Time              time.Time
}

// SubscriptionChange tells of a session that subscribed to a channel or no longer is.
type SubscriptionChange struct {
	Session *Session
	Channel string
	Kind    Kind
	// Member is who the session is on a presence channel, without the Info for one
	// that no longer is; nil elsewhere. It must not be changed.
	Member *presence.Member
	// Resume says how it began, and PastEvents with how many: those that were missed, or
	// a rewind's, or a cache channel's. Both are zero for one that ended.
	Resume     Resume
	PastEvents int
	Time       time.Time
}

// EventChange tells of an event that has been handed out.
type EventChange struct {
	App string
	// Event is the event, with its position on a channel that keeps history; it is
	// sealed on an encrypted channel. Its Data is shared and must not be changed.
	Event Event
	// Session is the client's that sent it, whose socket ID is the Event's SocketID;
	// nil for an event that was published.
	Session *Session
}

// InformingHook names one of the hooks that inform.
type InformingHook uint8

// The hooks that inform, by the names of their fields in Hooks.
const (
	HookConnected InformingHook = iota + 1
	HookDisconnected
	HookMemberJoined
	HookMemberLeft
	HookUserOnline
	HookUserOffline
	HookChannelOccupied
	HookChannelVacated
	HookSubscriptionCount
	HookCacheMissed
	HookGap
	HookClientEventSent
	HookSubscribed
	HookUnsubscribed
	HookPublished
)

// AmendRequest is an amendment of an event. Hooks cannot change App, Channel, Session,
// Amends, EventID and Target.
type AmendRequest struct {
	// App is set by the broker.
	App     string
	Channel string
	// Session is the client's that wants to amend; nil for the server side.
	Session *Session
	// Amends is what to do: storage.Edit, storage.Retract, or storage.Extend to append.
	Amends storage.AmendKind
	// EventID is the target's ID.
	EventID string
	// Target is the event as it is now, set by the broker; its data is sealed on an
	// encrypted channel, and must not be changed.
	Target Event
	// Data replaces the target's data, or is added to it, and is taken over. With JSON
	// it is a JSON value: a string stands for its text unless the target carries JSON.
	Data []byte
	JSON bool
	// UserID is the member of a presence channel, or the user in whose name the server
	// amends; empty for none.
	UserID string
	// Version refuses the amendment if the target has another version; nil for any. See
	// Event.Version.
	Version *uint64
	// OperationID makes a retry a no-op: see the option.
	OperationID string
	// Allowed says that the amendment is allowed. It is set for the server side, and
	// not for clients: those may amend what a hook lets them.
	Allowed bool
}

// Own reports whether who wants to amend has sent the target: the same user, or the same
// connection.
func (r *AmendRequest) Own() bool {
	if r.UserID != "" && r.UserID == r.Target.UserID {
		return true
	}
	return r.Session != nil && r.Session.id == r.Target.SocketID
}
