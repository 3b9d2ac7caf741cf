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
	return callStore(ctx, &p.storeCalls, op, func(ctx context.Context) (T, error) {
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
func (p *presenceCalls) Join(ctx context.Context, ch ChannelID, conn storage.Connection, m Member, max int) (first bool, err error) {
	if p.calls != nil {
		return change(ctx, p, opJoin, memberKey{ch, conn}, func(ctx context.Context) (bool, error) {
			return p.store.Join(ctx, ch, conn, m, max)
		})
	}
	defer p.recovered(opJoin, &err)
	return p.store.Join(ctx, ch, conn, m, max)
}

// Leave implements storage.Presence.
func (p *presenceCalls) Leave(ctx context.Context, ch ChannelID, conn storage.Connection) (d storage.Departure, err error) {
	if p.calls != nil {
		return change(ctx, p, opLeave, memberKey{ch, conn}, func(ctx context.Context) (storage.Departure, error) {
			return p.store.Leave(ctx, ch, conn)
		})
	}
	defer p.recovered(opLeave, &err)
	return p.store.Leave(ctx, ch, conn)
}

// Members implements storage.Presence.
func (p *presenceCalls) Members(ctx context.Context, ch ChannelID) (members []Member, err error) {
	if p.calls != nil {
		return callStore(ctx, &p.storeCalls, opMembers, func(ctx context.Context) ([]Member, error) {
			return p.store.Members(ctx, ch)
		})
	}
	defer p.recovered(opMembers, &err)
	return p.store.Members(ctx, ch)
}

// Count implements storage.Presence.
func (p *presenceCalls) Count(ctx context.Context, ch ChannelID) (n int, err error) {
	if p.calls != nil {
		return callStore(ctx, &p.storeCalls, opCount, func(ctx context.Context) (int, error) {
			return p.store.Count(ctx, ch)
		})
	}
	defer p.recovered(opCount, &err)
	return p.store.Count(ctx, ch)
}

// IsMember implements storage.Presence.
func (p *presenceCalls) IsMember(ctx context.Context, ch ChannelID, userID string) (is bool, err error) {
	if p.calls != nil {
		return callStore(ctx, &p.storeCalls, opIsMember, func(ctx context.Context) (bool, error) {
			return p.store.IsMember(ctx, ch, userID)
		})
	}
	defer p.recovered(opIsMember, &err)
	return p.store.IsMember(ctx, ch, userID)
}

// Renew implements storage.Presence.
func (p *presenceCalls) Renew(ctx context.Context, node string, lease time.Duration) (err error) {
	if p.calls != nil {
		_, err := callStore(ctx, &p.storeCalls, opRenew, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, p.store.Renew(ctx, node, lease)
		})
		return err
	}
	defer p.recovered(opRenew, &err)
	return p.store.Renew(ctx, node, lease)
}

// Expire implements storage.Presence.
func (p *presenceCalls) Expire(ctx context.Context) (gone []storage.Departure, err error) {
	if p.calls != nil {
		return callStore(ctx, &p.storeCalls, opExpire, p.store.Expire)
	}
	defer p.recovered(opExpire, &err)
	return p.store.Expire(ctx)
}

// LastSeen implements storage.Presence.
func (p *presenceCalls) LastSeen(ctx context.Context, ch ChannelID, userID string) (seen time.Time, err error) {
	if p.calls != nil {
		return callStore(ctx, &p.storeCalls, opLastSeen, func(ctx context.Context) (time.Time, error) {
			return p.store.LastSeen(ctx, ch, userID)
		})
	}
	defer p.recovered(opLastSeen, &err)
	return p.store.LastSeen(ctx, ch, userID)
}
