package broker

import (
	"context"
	"time"

	"github.com/carillon-rt/carillon/internal/contain"
	"github.com/carillon-rt/carillon/storage"
)

const (
	// checkAlone is how often the positions of open channels are compared with a
	// shared store that notifies of nothing, and checkEvery with one that does:
	// notifications get lost.
	checkAlone = time.Second
	checkEvery = 10 * time.Second
	// checkBatch is how many channels are asked for in one call.
	checkBatch = 1000
)

// shareHistory has the broker hand out what others publish to the same store.
func (b *Broker) shareHistory(store storage.History) {
	caps := storage.CapabilitiesOf(store)
	b.mayLose = caps.Shared || caps.Durable
	if !caps.Shared {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	b.stopWatching = stop
	watch, _ := store.(storage.Watch)
	if watch == nil {
		b.background(func() { every(ctx, checkAlone, func() { b.checkPositions(ctx, nil) }) })
		return
	}
	b.background(func() { every(ctx, checkEvery, func() { b.checkPositions(ctx, nil) }) })
	b.background(func() {
		every(ctx, checkAlone, func() {
			if err := b.watchHistory(ctx, watch); ctx.Err() == nil {
				_ = b.storeFailed("history notifications", ChannelID{}, err)
			}
		})
	})
}

// every calls f again and again until ctx ends.
func every(ctx context.Context, d time.Duration, f func()) {
	ticker := time.NewTicker(d)
	defer ticker.Stop()
	for {
		f()
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// watchHistory takes notifications until there are no more.
func (b *Broker) watchHistory(ctx context.Context, store storage.Watch) (err error) {
	defer contain.Recover(&err)
	return store.Watch(ctx, func(commit storage.Commit) {
		if commit.Channel == (ChannelID{}) || commit.Latest.IsZero() {
			only := commit.Channel // so that other commits need not be on the heap
			b.background(func() { b.checkPositions(ctx, &only) })
			return
		}
		c := b.channels.load(commit.Channel)
		switch {
		case c == nil || c.kept == nil:
		case commit.Event != nil:
			c.arrive(commit.Event, false)
		default:
			c.arrivePosition(commit.Latest, false)
		}
	})
}

// checkPositions compares where channels stand with the store: one of them, or all
// that are open and keep events.
func (b *Broker) checkPositions(ctx context.Context, only *ChannelID) {
	var ids []ChannelID
	b.channels.all(func(c *channel) bool {
		if c.kept != nil && (only == nil || *only == ChannelID{} || *only == c.id) {
			ids = append(ids, c.id)
		}
		return true
	})
	for len(ids) > 0 && ctx.Err() == nil {
		batch := ids[:min(len(ids), checkBatch)]
		ids = ids[len(batch):]
		latest, err := b.history.Latest(ctx, batch)
		if err != nil {
			_ = b.storeFailed("history positions", batch[0], err)
			return
		}
		for i, id := range batch {
			if c := b.channels.load(id); c != nil && c.kept != nil {
				c.arrivePosition(latest[i], false)
			}
		}
	}
}
