package presence

import (
	"context"
	"errors"
	"time"

	"github.com/carillon-rt/carillon/internal/contain"
	"github.com/carillon-rt/carillon/storage"
)

// pendingLeave is a connection that has gone and whose member is still there
// until the grace is over.
type pendingLeave struct {
	pendingKey
	userID string
	left   func(Departure, error)
	failed bool // has been told of an error already
	// userGone says that left was called for another connection since, with the
	// user's departure; guarded by the channel's order.
	userGone bool
	// unwanted says that the connection's join has failed.
	unwanted bool
	timer    *time.Timer
}

// RetryLeave is how long after a store has failed to take a connection away the
// tracker tries again.
const RetryLeave = 10 * time.Second

// maxUnwanted is how many connections may wait to leave for one to be added whose
// join has failed: while a store is down, clients come again and again.
const maxUnwanted = 1 << 16

type pendingKey struct {
	channel storage.ChannelID
	conn    string
}

// undo takes away a connection whose join has failed with err: the store may have
// it all the same. Nobody has heard of it. The caller holds the order of the
// channel, and hangs no longer where the store hangs already.
func (t *Tracker) undo(ctx context.Context, ch storage.ChannelID, c storage.Connection, userID string, err error) error {
	later := &pendingLeave{pendingKey: pendingKey{ch, c.ID}, userID: userID,
		left: func(Departure, error) {}, failed: true, unwanted: true}
	if errors.Is(err, contain.ErrUnfinished) && t.leaveLater(later, 0) {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), RetryLeave)
	defer cancel()
	_, undone := t.store.Leave(ctx, ch, c)
	if undone != nil {
		t.leaveLater(later, RetryLeave)
	}
	return errors.Join(err, undone)
}

// isUnwanted reports whether a connection is there only because the store failed.
func (t *Tracker) isUnwanted(key pendingKey) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.pending[key]
	return p != nil && p.unwanted
}

// Leave takes the connection of a user from the channel, at once or, with a grace, when
// that time is over: a user who joins again in the meantime has not left. left is
// called before any other change of the channel on this node, with the outcome; it must
// not call the tracker. It is not called where the connection itself joins again in the
// meantime, nor by a second Leave with a grace. After an error of the store the member
// is still there: the tracker tries again every RetryLeave until Close, and calls left
// once more with the outcome. If ctx ends while Leave waits for other changes of the
// channel, it returns, and left is called later.
func (t *Tracker) Leave(ctx context.Context, ch storage.ChannelID, userID, conn string, grace time.Duration, left func(Departure, error)) {
	p := &pendingLeave{pendingKey: pendingKey{ch, conn}, userID: userID, left: left}
	if grace > 0 && t.leaveLater(p, grace) {
		return
	}
	order, err := t.lock(ctx, ch, userID)
	if err != nil {
		// Whatever becomes of ctx: who leaves must be told of, in turn.
		if t.leaveLater(p, 0) {
			return
		}
		order, _ = t.lock(context.Background(), ch, userID)
	}
	defer order.Unlock()
	t.leaveNow(ctx, p)
}

// leaveNow asks the store. The caller holds the order of the channel.
func (t *Tracker) leaveNow(ctx context.Context, p *pendingLeave) {
	if t.shared != nil {
		t.shared.leaving(p.channel, p.conn)
	}
	d, err := t.store.Leave(ctx, p.channel, storage.Connection{Node: t.node, ID: p.conn})
	if err == nil && p.failed && !p.unwanted && d.Member.UserID == "" {
		d, err = t.leftBefore(ctx, p)
	}
	if err == nil {
		if d.Last {
			t.userLeft(p.channel, p.userID)
		}
		if t.shared != nil {
			t.shared.left(ctx, p.channel, p.conn, d, func() { p.left(d, nil) })
		} else {
			p.left(d, nil)
		}
		return
	}
	again := &pendingLeave{pendingKey: p.pendingKey, userID: p.userID, left: p.left, failed: true, userGone: p.userGone, unwanted: p.unwanted}
	if !t.leaveLater(again, RetryLeave) || !p.failed {
		p.left(d, err)
	}
}

// leftBefore is the departure of a connection that the store has taken away already,
// with an answer that was an error, or came too late.
func (t *Tracker) leftBefore(ctx context.Context, p *pendingLeave) (Departure, error) {
	are, err := t.store.AreMembers(ctx, p.channel, []string{p.userID})
	if err != nil || are[0] || p.userGone {
		return Departure{}, err
	}
	return Departure{Channel: p.channel, Member: Member{UserID: p.userID}, Last: true, Time: time.Now()}, nil
}

// userLeft notes with the user's other connections that the user has been told to
// be gone.
func (t *Tracker) userLeft(ch storage.ChannelID, userID string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failed == 0 {
		return
	}
	for _, p := range t.pending {
		if p.channel == ch && p.userID == userID {
			p.userGone = true
		}
	}
}

func (t *Tracker) leaveLater(p *pendingLeave, after time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || p.unwanted && len(t.pending) >= maxUnwanted {
		return false
	}
	if t.pending[p.pendingKey] != nil {
		return true
	}
	t.pending[p.pendingKey] = p
	if p.failed {
		t.failed++
	}
	t.leaving.Add(1)
	p.timer = time.AfterFunc(after, func() { t.leave(context.Background(), p) })
	return true
}

// leave carries out a leave whose time has come, unless it was taken away.
func (t *Tracker) leave(ctx context.Context, p *pendingLeave) {
	order, _ := t.lock(context.Background(), p.channel, p.userID)
	defer order.Unlock()
	// Under the order of the channel, so that no join comes between.
	if !t.take(p) {
		return
	}
	defer t.leaving.Done()
	p.timer.Stop()
	t.leaveNow(ctx, p)
}

// take makes the caller the one who carries out p.
func (t *Tracker) take(p *pendingLeave) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pending[p.pendingKey] != p {
		return false
	}
	t.forget(p)
	return true
}

// forget takes p out of what is pending. The caller holds mu.
func (t *Tracker) forget(p *pendingLeave) {
	delete(t.pending, p.pendingKey)
	if p.failed {
		t.failed--
	}
}

// cancel keeps a connection that was to leave later.
func (t *Tracker) cancel(key pendingKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.pending[key]; p != nil {
		t.forget(p)
		p.timer.Stop()
		t.leaving.Done()
	}
}
