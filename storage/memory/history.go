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
	s.sweep(uint64(h.shard)+out.Position.Offset, now)
	return out, err
}

// Read implements storage.History. The page's events are the caller's, but for
// their Data.
func (s *Store) Read(ctx context.Context, ch storage.ChannelID, opts storage.ReadOptions) (storage.Page, error) {
	if err := ctx.Err(); err != nil {
		return storage.Page{}, err
	}
	h := s.lockHistory(ch, false)
	if h == nil {
		if !opts.From.IsZero() {
			return storage.Page{}, &storage.GapError{Channel: ch, From: opts.From}
		}
		return storage.Page{}, nil
	}
	defer h.mu.Unlock()
	return h.read(opts, s.now())
}

// Latest implements storage.History.
func (s *Store) Latest(ctx context.Context, ch storage.ChannelID) (storage.Position, error) {
	if err := ctx.Err(); err != nil {
		return storage.Position{}, err
	}
	h := s.lockHistory(ch, false)
	if h == nil {
		return storage.Position{}, nil
	}
	defer h.mu.Unlock()
	return h.position(h.latest), nil
}

// Delete implements storage.History.
func (s *Store) Delete(ctx context.Context, ch storage.ChannelID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if h := s.lockHistory(ch, false); h != nil {
		defer h.mu.Unlock()
		s.remove(h)
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
		if !h.gone {
			return h
		}
		h.mu.Unlock()
	}
}
