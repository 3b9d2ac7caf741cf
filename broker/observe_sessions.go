package broker

import (
	"time"

	"github.com/carillon-rt/carillon/transport"
)

// SessionOpened is a client that has connected.
type SessionOpened struct{ Session *Session }

// SessionRefused is a client that was refused: by the broker, as Stats.Refused counts, or by
// its protocol, as for an unknown key or another origin.
type SessionRefused struct {
	// App is empty for one that has named none that there is.
	App string
	// IP is the client's address, Transport the name of its transport.
	IP, Transport string
	// Err says why.
	Err error
}

// SessionClosed is the end of a session.
type SessionClosed struct {
	Session *Session
	// Code is the close code.
	Code int
	// Lasted is how long it had been there.
	Lasted time.Duration
}

// SessionSlow is a client that is cut off, since more waited for it than may.
type SessionSlow struct {
	Session *Session
	// Queue is what waited.
	Queue transport.Queue
	// Err is that of transport.Conn.Send.
	Err error
}

// SubscriptionOpened is a session that has subscribed to a channel.
type SubscriptionOpened struct {
	Session *Session
	Channel string
	// Again says that it was on the channel before, and asked to go on from a position.
	Again bool
	// UserID is the member on a presence channel.
	UserID string
	// Resume says whether it went on from a position, and PastEvents is the number of past
	// events that it began with.
	Resume     Resume
	PastEvents int
	// Took is from the request to the last of what it began with in its queue.
	Took time.Duration
}

// SubscriptionRefused is a subscription that has failed.
type SubscriptionRefused struct {
	Session *Session
	Channel string
	// Err is that of Session.Subscribe.
	Err error
	// Took is from the request to the error.
	Took time.Duration
}

// SubscriptionClosed is a session that is no longer on a channel.
type SubscriptionClosed struct {
	Session *Session
	Channel string
	// UserID is the member on a presence channel.
	UserID string
}

// RequestRefused is a request that has failed, other than to subscribe or to publish.
type RequestRefused struct {
	App string
	// Session is the client's that made it; nil for the server side.
	Session *Session
	// Action is what was asked for: "sign in", "history", "search" or "amend".
	Action string
	// Channel is empty where it was not about one.
	Channel string
	// Err is that of the method.
	Err error
}

// MemberJoined is a user whose first connection has joined a presence channel.
type MemberJoined MemberChange

// MemberLeft is a user whose last connection has left a presence channel.
type MemberLeft MemberChange

// UserOnline is a user whose first connection has signed in.
type UserOnline UserChange

// UserOffline is a user whose last connection has ended.
type UserOffline UserChange

// ChannelOccupied is a channel that has its first client; see Hooks.ChannelOccupied.
type ChannelOccupied ChannelChange

// ChannelVacated is a channel that has lost its last client; see Hooks.ChannelVacated.
type ChannelVacated ChannelChange

// ChannelGap is a channel whose subscribers on this node miss events that were published:
// see Hooks.Gap.
type ChannelGap struct {
	App, Channel string
	// Err says from where to where, as far as it is known.
	Err error
}

// InProcessSlow is an in-process subscription that has ended since it fell behind.
type InProcessSlow struct {
	App, Channel string
	// Err is what ends its events.
	Err error
}

func (SessionOpened) kind() ObservationKind       { return ObserveSessionOpened }
func (SessionRefused) kind() ObservationKind      { return ObserveSessionRefused }
func (SessionClosed) kind() ObservationKind       { return ObserveSessionClosed }
func (SessionSlow) kind() ObservationKind         { return ObserveSessionSlow }
func (SubscriptionOpened) kind() ObservationKind  { return ObserveSubscriptionOpened }
func (SubscriptionRefused) kind() ObservationKind { return ObserveSubscriptionRefused }
func (SubscriptionClosed) kind() ObservationKind  { return ObserveSubscriptionClosed }
func (RequestRefused) kind() ObservationKind      { return ObserveRequestRefused }
func (MemberJoined) kind() ObservationKind        { return ObserveMemberJoined }
func (MemberLeft) kind() ObservationKind          { return ObserveMemberLeft }
func (UserOnline) kind() ObservationKind          { return ObserveUserOnline }
func (UserOffline) kind() ObservationKind         { return ObserveUserOffline }
func (ChannelOccupied) kind() ObservationKind     { return ObserveChannelOccupied }
func (ChannelVacated) kind() ObservationKind      { return ObserveChannelVacated }
func (ChannelGap) kind() ObservationKind          { return ObserveChannelGap }
func (InProcessSlow) kind() ObservationKind       { return ObserveInProcessSlow }
