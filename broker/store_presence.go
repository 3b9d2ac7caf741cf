package broker

import (
	"context"
	"hash/maphash"
	"time"

	"github.com/carillon-rt/carillon/internal/keylock"
	"github.com/carillon-rt/carillon/storage"
)

// presenceCalls is a presence store whose calls are contained.
type presenceCalls struct {
	storeCalls
	store storage.Presence
	// changing is held from when a connection's join or leave begins until it has
	// come back, left behind or not: a join that was given up and goes on must not
	// come after the leave that undoes it.
	changing keylock.Locks[memberKey]
	seed     maphash.Seed
}

type memberKey struct {
	channel ChannelID
	conn    storage.Connection
}

// change makes a call that changes a connection's membership.
func change[T any](ctx context.Context, p *presenceCalls, op operation, key memberKey, f func(context.Context) (T, error)) (T, error) {
	return callStore(ctx, &p.storeCalls, op, key.channel, func(ctx context.Context) (T, error) {
		lock, err := p.changing.Lock(ctx, maphash.String(p.seed, key.conn.ID), key)
		if err != nil {
			var none T
			return none, err
		}
		defer lock.Unlock()
		return f(ctx)
	})
}

// Join implements storage.Presence.
func (p *presenceCalls) Join(ctx context.Context, ch ChannelID, conn storage.Connection, m Member, opts storage.JoinOptions) (joined storage.Joined, err error) {
	if p.calls != nil {
		return change(ctx, p, opJoin, memberKey{ch, conn}, func(ctx context.Context) (storage.Joined, error) {
			return p.store.Join(ctx, ch, conn, m, opts)
		})
	}
	call := p.begin(ctx, opJoin, ch)
	defer p.end(&call, &err)
	return p.store.Join(call.ctx, ch, conn, m, opts)
}

// Leave implements storage.Presence.
func (p *presenceCalls) Leave(ctx context.Context, ch ChannelID, conn storage.Connection) (d storage.Departure, err error) {
	if p.calls != nil {
		return change(ctx, p, opLeave, memberKey{ch, conn}, func(ctx context.Context) (storage.Departure, error) {
			return p.store.Leave(ctx, ch, conn)
		})
	}
	call := p.begin(ctx, opLeave, ch)
	defer p.end(&call, &err)
	return p.store.Leave(call.ctx, ch, conn)
}

// Members implements storage.Presence.
func (p *presenceCalls) Members(ctx context.Context, ch ChannelID) (roster storage.Roster, err error) {
	if p.calls != nil {
		return callStore(ctx, &p.storeCalls, opMembers, ch, func(ctx context.Context) (storage.Roster, error) {
			return p.store.Members(ctx, ch)
		})
	}
	call := p.begin(ctx, opMembers, ch)
	defer p.end(&call, &err)
	return p.store.Members(call.ctx, ch)
}

// Changes implements storage.Presence.
func (p *presenceCalls) Changes(ctx context.Context, ch ChannelID, since Position) (changes []storage.PresenceChange, err error) {
	if p.calls != nil {
		return callStore(ctx, &p.storeCalls, opChanges, ch, func(ctx context.Context) ([]storage.PresenceChange, error) {
			return p.store.Changes(ctx, ch, since)
		})
	}
	call := p.begin(ctx, opChanges, ch)
	defer p.end(&call, &err)
	return p.store.Changes(call.ctx, ch, since)
}

// Counts implements storage.Presence.
func (p *presenceCalls) Counts(ctx context.Context, channels []ChannelID) (counts []storage.Count, err error) {
	if p.calls != nil {
		return callStore(ctx, &p.storeCalls, opCounts, firstOf(channels), func(ctx context.Context) ([]storage.Count, error) {
			return p.store.Counts(ctx, channels)
		})
	}
	call := p.begin(ctx, opCounts, firstOf(channels))
	defer p.end(&call, &err)
	return p.store.Counts(call.ctx, channels)
}

// AreMembers implements storage.Presence.
func (p *presenceCalls) AreMembers(ctx context.Context, ch ChannelID, userIDs []string) (are []bool, err error) {
	if p.calls != nil {
		return callStore(ctx, &p.storeCalls, opAreMembers, ch, func(ctx context.Context) ([]bool, error) {
			return p.store.AreMembers(ctx, ch, userIDs)
		})
	}
	call := p.begin(ctx, opAreMembers, ch)
	defer p.end(&call, &err)
	return p.store.AreMembers(call.ctx, ch, userIDs)
}

// Renew implements storage.Presence.
func (p *presenceCalls) Renew(ctx context.Context, node string, lease time.Duration) (held bool, err error) {
	if p.calls != nil {
		return callStore(ctx, &p.storeCalls, opRenew, ChannelID{}, func(ctx context.Context) (bool, error) {
			return p.store.Renew(ctx, node, lease)
		})
	}
	call := p.begin(ctx, opRenew, ChannelID{})
	defer p.end(&call, &err)
	return p.store.Renew(call.ctx, node, lease)
}

// Expire implements storage.Presence.
func (p *presenceCalls) Expire(ctx context.Context) (gone []storage.Departure, err error) {
	if p.calls != nil {
		return callStore(ctx, &p.storeCalls, opExpire, ChannelID{}, p.store.Expire)
	}
	call := p.begin(ctx, opExpire, ChannelID{})
	defer p.end(&call, &err)
	return p.store.Expire(call.ctx)
}

// LastSeen implements storage.Presence.
func (p *presenceCalls) LastSeen(ctx context.Context, ch ChannelID, userIDs []string) (seen []time.Time, err error) {
	if p.calls != nil {
		return callStore(ctx, &p.storeCalls, opLastSeen, ch, func(ctx context.Context) ([]time.Time, error) {
			return p.store.LastSeen(ctx, ch, userIDs)
		})
	}
	call := p.begin(ctx, opLastSeen, ch)
	defer p.end(&call, &err)
	return p.store.LastSeen(call.ctx, ch, userIDs)
}
