package broker

import (
	"context"
	"errors"
	"fmt"

	"github.com/carillon-rt/carillon/storage"
)

// ErrNotKept refuses what only a channel with history has: an event to prepare, or to
// amend. Give the channel a ChannelRule with History.
var ErrNotKept = errors.New("channel keeps no history")

// Prepare does all that Publish does but store and hand out the event: it asks the
// hooks, checks the event and the rate limits, and seals the data on an encrypted
// channel. What it returns is for a store that appends within a transaction of the
// caller, on the file or database that the broker keeps its history in: the event goes
// out if and only if that commits.
//
//	prepared, err := app.Prepare(ctx, "room", "message", data)
//	// …
//	tx, err := db.BeginTx(ctx, nil)
//	// …
//	_, err = tx.ExecContext(ctx, "INSERT INTO messages (id, text) VALUES (?, ?)", prepared.Event.ID, text)
//	// …
//	_, err = store.AppendTx(ctx, tx, prepared)
//	// …
//	err = tx.Commit()
//
// An event that is prepared takes no place in the channel's order until it is appended:
// its position is that of the append. Prepare it once for each transaction, and soon
// before it: Event.Time is when it was prepared.
//
//   - Rate limits count what is prepared. What is rolled back is not given back.
//   - Exclude and AsUser travel with the event.
//   - With an IdempotencyKey that was used before, AppendTx appends nothing, and says so
//     with storage.Appended.Duplicate or an error. What else the transaction does is up
//     to the caller, who rolls it back if it must not be done twice.
//   - The hook Publish is asked now. Published tells of the event when it has arrived
//     at a broker that has a subscription to the channel, as of events of others.
//
// Errors are those of Publish, or wrap ErrNotKept where the channel's rule keeps no
// events: there is nothing that a transaction could carry.
func (a *App) Prepare(ctx context.Context, channel, event string, data []byte, opts ...PublishOption) (storage.Prepared, error) {
	p := accepted{req: PublishRequest{Channel: channel, Event: event, Data: data}.with(opts)}
	t := p.trace(a.id)
	prepared, err := a.prepare(ctx, &p)
	if t.Err = err; err != nil {
		a.broker.observers.publishRefused(ctx, &t)
	}
	return prepared, err
}

func (a *App) prepare(ctx context.Context, p *accepted) (storage.Prepared, error) {
	if err := a.check(ctx, p); err != nil {
		return storage.Prepared{}, err
	}
	// Hooks may have sent it to another channel.
	if p.keep.Events == 0 {
		return storage.Prepared{}, notKept(p.channel.id.Name)
	}
	if err := a.broker.rateLimits.limited(ctx, p.limit()); err != nil {
		return storage.Prepared{}, err
	}
	if p.plain {
		if err := p.seal(); err != nil {
			return storage.Prepared{}, err
		}
	}
	return storage.Prepared{Channel: p.channel.id, Event: p.event(), Options: p.options()}, nil
}

func notKept(channel string) error { return fmt.Errorf("%w: %q", ErrNotKept, channel) }
