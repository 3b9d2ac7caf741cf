package storage

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Presence keeps who is on which channel. It counts users, not connections: a
// user with three connections on a channel is one member, present from the
// first connection's join until the last one's leave.
//
// Every change of one channel is atomic: of any number of concurrent joins of
// one user exactly one is told that it was the first.
//
// All methods are safe for concurrent use. A call whose context is done already
// does nothing and returns the context's error; one that waits for anything
// stops waiting when its context is done. A limit or lease below 0 counts as 0.
type Presence interface {
	// Join adds a connection of member m to the channel. It reports whether the
	// user was not there before. Where m brings another Info than the user's
	// other connections, the first connection's is kept. Joining twice with one
	// connection changes nothing.
	//
	// With max above 0, a user who would be the member after the max-th is
	// refused with an error that wraps ErrMemberLimit.
	Join(ctx context.Context, ch ChannelID, conn Connection, m Member, max int) (first bool, err error)

	// Leave takes a connection from the channel. It returns the member it
	// belonged to and whether that was the member's last connection, and the
	// zero Departure when the connection was not there.
	Leave(ctx context.Context, ch ChannelID, conn Connection) (Departure, error)

	// Members returns the channel's members in the order they joined.
	Members(ctx context.Context, ch ChannelID) ([]Member, error)

	// Count returns the number of members on the channel.
	Count(ctx context.Context, ch ChannelID) (int, error)

	// IsMember reports whether the user is on the channel.
	IsMember(ctx context.Context, ch ChannelID, userID string) (bool, error)

	// Renew keeps all connections of a node alive for another lease, counted from
	// now, those included that join later. A node that never renewed has no
	// lease, and its connections never expire.
	Renew(ctx context.Context, node string, lease time.Duration) error

	// Expire takes away the connections of nodes whose lease has ended, and
	// returns the members whose last connection was among them. Each departure
	// is returned once, to one caller.
	Expire(ctx context.Context) ([]Departure, error)

	// LastSeen returns when the user's last connection left the channel, and
	// the zero time if the user is on the channel now or the store no longer
	// knows. A store has to remember some, but may forget the oldest.
	LastSeen(ctx context.Context, ch ChannelID, userID string) (time.Time, error)
}

// Departure says that a connection left a channel.
type Departure struct {
	Channel ChannelID
	Member  Member
	// Last says that the member has no other connection on the channel, and so
	// has left it.
	Last bool
	// Time is when the store recorded it.
	Time time.Time
}

// ErrMemberLimit is wrapped by the error of a join to a channel that is full.
var ErrMemberLimit = errors.New("presence channel is full")

// MemberLimitError refuses a user on a channel that is full. It wraps
// ErrMemberLimit.
type MemberLimitError struct {
	Channel ChannelID
	Limit   int
}

// Error implements error.
func (e *MemberLimitError) Error() string {
	return fmt.Sprintf("channel %q: %v: the limit is %d members", e.Channel.Name, ErrMemberLimit, e.Limit)
}

// Unwrap makes errors.Is(err, ErrMemberLimit) true.
func (e *MemberLimitError) Unwrap() error { return ErrMemberLimit }
