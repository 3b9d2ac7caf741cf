package storage

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Presence keeps the members of channels. It counts users, not connections: a user with
// three connections on a channel is one member, present from the first connection's
// join until the last one's leave.
//
// Every change of one channel is atomic: of any number of concurrent joins of one user
// exactly one returns that it was the first. Each change has a revision, which is a
// Position of the channel's changes: after all that were given before, in an epoch that
// may begin anew where the store has lost some. It names the one before, so that a
// receiver of changes knows whether it has missed any.
//
// All methods are safe for concurrent use. A call whose context is done already
// does nothing and returns the context's error; one that waits for anything
// stops waiting when its context is done. A limit or lease below 0 counts as 0.
type Presence interface {
	// Join adds a connection of member m to the channel. Where m brings another
	// Info than the user's other connections, the first connection's is kept.
	// Joining twice with one connection changes nothing.
	//
	// A user who would be the member after opts.MaxMembers is refused with an error
	// that wraps ErrMemberLimit.
	Join(ctx context.Context, ch ChannelID, conn Connection, m Member, opts JoinOptions) (Joined, error)

	// Leave takes a connection from the channel. It returns the zero Departure when
	// the connection was not there.
	Leave(ctx context.Context, ch ChannelID, conn Connection) (Departure, error)

	// Members returns the channel's members.
	Members(ctx context.Context, ch ChannelID) (Roster, error)

	// Changes returns the channel's changes after a revision, oldest first. It fails
	// with an error that wraps ErrGap if the store no longer has all of them. A store
	// that is Shared keeps the latest FillEvents of a channel for FillAge at least.
	Changes(ctx context.Context, ch ChannelID, since Position) ([]PresenceChange, error)

	// Counts returns the number of members of each channel, at its index.
	Counts(ctx context.Context, channels []ChannelID) ([]Count, error)

	// AreMembers reports of each user, at its index, whether it is on the channel.
	AreMembers(ctx context.Context, ch ChannelID, userIDs []string) ([]bool, error)

	// LastSeen returns when the last connection of each user left the channel, at its
	// index: the zero time if the user is on the channel now, or the store does not
	// remember. A store remembers a bounded number of departures, and may forget the
	// oldest.
	LastSeen(ctx context.Context, ch ChannelID, userIDs []string) ([]time.Time, error)

	// Renew keeps all connections of a node alive for another lease, counted from now,
	// including those that join later. A node that never renewed has no lease, and its
	// connections never expire. It reports whether the node held a lease until now: if
	// not, its connections may have been taken away by Expire, and have to join again.
	Renew(ctx context.Context, node string, lease time.Duration) (held bool, err error)

	// Expire takes away the connections of nodes whose lease has ended, and
	// returns the members whose last connection was among them. Each departure
	// is returned once, to one caller.
	Expire(ctx context.Context) ([]Departure, error)
}

// JoinOptions go with one Join.
type JoinOptions struct {
	// MaxMembers is how many members the channel takes; 0 sets no bound.
	MaxMembers int
	// Members asks for the channel's members with the answer, unless the revision
	// before the join is Known to the caller.
	Members bool
	Known   Position
}

// Joined is the outcome of a Join.
type Joined struct {
	// First says that the user was not there before.
	First bool
	// Count is the number of members on the channel now.
	Count int
	// Revision is the channel's now, and Prev the one before the join. They are the
	// same unless the user is new.
	Revision, Prev Position
	// Members are all members, the joining one included, in the order they joined;
	// nil unless they were asked for.
	Members []Member
}

// Occupied reports whether nobody was on the channel before.
func (j Joined) Occupied() bool { return j.First && j.Count == 1 }

// Departure says that a connection left a channel.
type Departure struct {
	Channel ChannelID
	Member  Member
	// Last says that the member has no other connection on the channel, and so
	// has left it.
	Last bool
	// Count is the number of members on the channel from then on.
	Count int
	// Revision is the channel's from then on, and Prev the one before. They are the
	// same unless the member has left.
	Revision, Prev Position
	// Time is when the store recorded it.
	Time time.Time
}

// Vacated reports whether nobody is on the channel from then on.
func (d Departure) Vacated() bool { return d.Last && d.Count == 0 }

// Change is the member's departure as other brokers receive it.
func (d Departure) Change() PresenceChange {
	return PresenceChange{Channel: d.Channel, Member: d.Member, Count: d.Count, Revision: d.Revision, Prev: d.Prev, Time: d.Time}
}

// Roster is the members of a channel at one revision.
type Roster struct {
	// Members are in the order they joined.
	Members []Member
	// Revision is the channel's, read together with Members.
	Revision Position
}

// Count is how many members are on a channel.
type Count struct {
	Members int
	// Revision is the channel's, read together with Members.
	Revision Position
}

// PresenceChange says that a member came to a channel or left it.
type PresenceChange struct {
	Channel ChannelID
	Member  Member
	// Joined says that the member came; it left otherwise.
	Joined bool
	// Count is the number of members on the channel from then on.
	Count int
	// Revision is the channel's from then on, and Prev the one before.
	Revision, Prev Position
	// Time is when the store recorded it.
	Time time.Time
}

// WatchPresence is implemented by a Presence that can notify of changes through another
// handle or by another process. Without it a broker on a shared store asks for Counts
// now and then.
type WatchPresence interface {
	// WatchPresence does for members what Watch does for events. A notification without
	// the change has the zero Member, and one without the revision the zero Revision as
	// well: then the channel has to be read. The zero PresenceChange may be of any
	// channel.
	WatchPresence(ctx context.Context, notify func(PresenceChange)) error
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
