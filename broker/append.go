package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/carillon-rt/carillon/internal/cursor"
	"github.com/carillon-rt/carillon/storage"
)

// store appends an event, and returns when it is in the queue of every subscriber.
func (b *Broker) store(ctx context.Context, ch *channelKey, ev *Event, opts *storage.AppendOptions) (Published, error) {
	out, err := b.history.Append(ctx, ch.id, ev, *opts)
	return b.stored(ctx, ch, ev, opts, out, err)
}

// stored handles the outcome of an append.
func (b *Broker) stored(ctx context.Context, ch *channelKey, ev *Event, opts *storage.AppendOptions, out storage.Appended, err error) (Published, error) {
	if err != nil {
		if isKeyRefused(err) {
			b.stats.refused.Add(1)
			return Published{}, err
		}
		if c := b.channels.find(ch); c != nil {
			c.appendFailed(opts)
		}
		return Published{}, b.storeFailed("history append", ch.id, err)
	}
	if out.Position.Offset%appendsPerSample == 0 {
		b.appendTime.took(time.Since(ev.Time))
	}
	done := Published{ID: ev.ID, Position: out.Position, Duplicate: out.Duplicate}
	if out.Duplicate {
		done.ID = b.firstID(ctx, ch.id, out.Position)
	}
	if opts.Retention.Events > 0 {
		ev.Position, ev.Prev = out.Position, out.Prev
		return done, b.arrive(ctx, ch, ev, out.Duplicate)
	}
	// Only the key was kept: the order is that of the calls, and an event whose append
	// has failed cannot be read.
	c := b.channels.find(ch)
	if out.Duplicate && (c == nil || !c.takeFailed(opts.IdempotencyKey)) {
		return done, nil
	}
	if c == nil {
		b.informPublished(ch.id.App, ev, nil)
		return done, nil
	}
	return done, b.handOutAtOnce(ctx, c, ev)
}

// handOutAtOnce hands out an event that has no position.
func (b *Broker) handOutAtOnce(ctx context.Context, c *channel, ev *Event) error {
	if !b.observers.any() {
		c.handOutAtOnce(ev)
		return nil
	}
	return b.observers.handOut(ctx, c.id.App, ev, func(context.Context) error {
		c.handOutAtOnce(ev)
		return nil
	})
}

// arrive lets an event take its place in its channel's order, and returns when it
// has been handed out. Without it, the event at its position is meant, which the
// store has.
func (b *Broker) arrive(ctx context.Context, ch *channelKey, ev *Event, positionOnly bool) error {
	if !b.observers.any() {
		return b.takePlace(ctx, ch, ev, positionOnly)
	}
	return b.observers.handOut(ctx, ch.id.App, ev, func(ctx context.Context) error {
		return b.takePlace(ctx, ch, ev, positionOnly)
	})
}

func (b *Broker) takePlace(ctx context.Context, ch *channelKey, ev *Event, positionOnly bool) error {
	for {
		// Looked for now that the event is stored: who has come meanwhile may know
		// only of a position before it.
		c := b.channels.find(ch)
		if c == nil {
			if !positionOnly {
				b.informPublished(ch.id.App, ev, nil)
			}
			return nil
		}
		var waiter *cursor.Waiter
		var there bool
		if positionOnly {
			waiter, there = c.arrivePosition(ev.Position, true)
		} else {
			waiter, there = c.arrive(ev, true)
		}
		if !there {
			continue
		}
		if waiter == nil {
			return nil
		}
		select {
		case <-waiter.Passed():
			return nil
		case <-ctx.Done():
			c.forget(waiter)
			return fmt.Errorf("event is stored at %v, but not handed out yet: %w", ev.Position, context.Cause(ctx))
		}
	}
}

// firstID returns the ID of the event that used an idempotency key first, as far as it is
// kept.
func (b *Broker) firstID(ctx context.Context, ch ChannelID, at Position) string {
	page, err := b.history.Read(ctx, ch, storage.ReadOptions{From: at, Backward: true, Inclusive: true, MaxEvents: 1})
	if err != nil || len(page.Events) == 0 || page.Events[0].Position != at {
		return "" // to whoever tries again it only matters that nothing is published twice
	}
	return page.Events[0].ID
}

// appendsPerSample is how many appends there are for one whose time is taken.
const appendsPerSample = 16

// isKeyRefused reports whether an append was refused for its idempotency key: then
// nothing was appended, and the store has not failed.
func isKeyRefused(err error) bool {
	return errors.Is(err, storage.ErrKeyReused) || errors.Is(err, storage.ErrKeyInFlight)
}

// floor is the highest position of a channel that is known here, for a store that may
// lose what it has acknowledged.
func (b *Broker) floor(ch *channelKey) Position {
	if !b.mayLose {
		return Position{}
	}
	c := b.channels.find(ch)
	if c == nil || c.kept == nil {
		return Position{}
	}
	c.order.Lock()
	defer c.order.Unlock()
	return c.kept.Heard()
}
