package memory

import (
	"context"

	"github.com/carillon-rt/carillon/storage"
)

// Append implements storage.History. It keeps ev.Data as it is, and waits for
// nothing but other calls for the channel.
func (s *Store) Append(ctx context.Context, ch storage.ChannelID, ev *storage.Event, opts storage.AppendOptions) (storage.Appended, error) {
	if err := ctx.Err(); err != nil {
		return storage.Appended{}, err
	}
	h := s.lockHistory(ch, true)
	// Under the lock: events must not be younger than those before them.
	now := s.now()
	out, err := h.append(ev, &opts, now)
	s.plan(h)
	h.mu.Unlock()
	if err == nil && !out.Duplicate && s.commits.wanted() {
		told := *ev
		told.Position, told.Prev = out.Position, out.Prev
		s.commits.tell(storage.Commit{Channel: ch, Latest: out.Position, Event: &told})
	}
	s.sweep(uint64(h.shard)+out.Position.Offset, now)
	return out, err
}

// AppendBatch implements storage.History. It appends the events one by one.
func (s *Store) AppendBatch(ctx context.Context, batch []storage.AppendRequest) []storage.AppendResult {
	return storage.AppendEach(ctx, s, batch)
}

// Read implements storage.History. The page's events are the caller's, but for
// their Data.
func (s *Store) Read(ctx context.Context, ch storage.ChannelID, opts storage.ReadOptions) (storage.Page, error) {
	if err := ctx.Err(); err != nil {
		return storage.Page{}, err
	}
	h, latest := s.lockOrLatest(ch)
	if h == nil {
		if !opts.From.IsZero() && opts.From != latest {
			return storage.Page{}, &storage.GapError{Channel: ch, From: opts.From, Latest: latest}
		}
		return storage.Page{Latest: latest}, nil
	}
	defer h.mu.Unlock()
	return h.read(opts, s.now())
}

// Latest implements storage.History.
func (s *Store) Latest(ctx context.Context, channels []storage.ChannelID) ([]storage.Position, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	all := make([]storage.Position, len(channels))
	for i, ch := range channels {
		h, latest := s.lockOrLatest(ch)
		if h != nil {
			latest = h.position()
			h.mu.Unlock()
		}
		all[i] = latest
	}
	return all, nil
}

// Delete implements storage.History. The channel's epoch goes on.
func (s *Store) Delete(ctx context.Context, ch storage.ChannelID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if h := s.lockHistory(ch, false); h != nil {
		defer h.mu.Unlock()
		h.clear(s.now())
		s.plan(h)
	}
	return nil
}

// lockHistory returns the channel's history with its lock held, and nil if there
// is none and none is to be made.
func (s *Store) lockHistory(ch storage.ChannelID, create bool) *history {
	for {
		h, ok := s.histories.Load(ch)
		if !ok {
			if !create {
				return nil
			}
			h, _ = s.histories.LoadOrStore(ch, newHistory(ch))
		}
		h.mu.Lock()
		if h.gone {
			h.mu.Unlock()
			continue
		}
		if h.era.epoch.IsZero() {
			// Asked now that h is in the store: see forget.
			h.era.epoch = *s.epoch.Load()
		}
		return h
	}
}

// lockOrLatest returns the channel's history with its lock held, or the latest
// position of a channel that has none.
func (s *Store) lockOrLatest(ch storage.ChannelID) (*history, storage.Position) {
	for {
		epoch := s.epoch.Load()
		if h := s.lockHistory(ch, false); h != nil {
			return h, storage.Position{}
		}
		// The same before and after: a channel that came and went in between, or
		// has come since, has no position of an older epoch.
		if s.epoch.Load() == epoch {
			return nil, storage.Position{Epoch: *epoch}
		}
	}
}

// forget takes a channel that keeps nothing out of the store. The caller holds
// h.mu.
func (s *Store) forget(h *history) {
	// First of all: what asks for the epoch once h is not found gets one that is
	// newer than all positions of h. Channels that began before are forgotten
	// under the same one, so it does not change often.
	for h.latest > 0 {
		epoch := s.epoch.Load()
		if epoch.Compare(h.era.epoch) > 0 {
			break
		}
		next := storage.NewEpoch(h.era.epoch)
		s.epoch.CompareAndSwap(epoch, &next)
	}
	h.gone = true
	s.histories.Delete(h.id)
	s.cancel(h)
}
