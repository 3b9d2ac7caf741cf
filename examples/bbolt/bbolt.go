// Package bbolt keeps a broker's history in one file of go.etcd.io/bbolt. It is what
// docs/adapter.md explains: an adapter of a size to be read, which passes the whole
// suite of package storagetest. For work of every day storage/sqlite is quicker, may
// be shared by processes, and keeps members too.
//
//	store, err := bbolt.Open("events.bolt")
//	b, err := broker.New(broker.WithHistory(store))
//
// What is no longer kept of a channel is removed with its next event, and a few bytes
// of each channel that has ever had one stay for good.
package bbolt

import (
	"context"
	"fmt"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/carillon-rt/carillon/storage"
)

// Store is a storage.History in a file. All methods are safe for concurrent use.
type Store struct {
	db  *bolt.DB
	now func() time.Time
}

var (
	_ storage.History = (*Store)(nil)
	_ storage.Capable = (*Store)(nil)
)

// Open opens the file, or makes it, and begins an epoch. Only one process may have it
// open: another one gets ErrTimeout of bbolt/errors after a second.
func Open(path string) (*Store, error) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second})
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	db.MaxBatchDelay = time.Millisecond // how long a commit waits for others to join it
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{epochs, channels} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		_, err := begin(tx, storage.Epoch{})
		return err
	})
	if err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	return &Store{db: db, now: time.Now}, nil
}

// Close waits for transactions that are under way; later calls fail.
func (s *Store) Close() error { return s.db.Close() }

// Capabilities implements storage.Capable.
func (s *Store) Capabilities() storage.Capabilities {
	return storage.Capabilities{ContiguousOffsets: true, Durable: true}
}

// Append implements storage.History.
func (s *Store) Append(ctx context.Context, id storage.ChannelID, ev *storage.Event, opts storage.AppendOptions) (storage.Appended, error) {
	r := s.AppendBatch(ctx, []storage.AppendRequest{{Channel: id, Event: ev, Options: opts}})[0]
	return r.Appended, r.Err
}

// AppendBatch implements storage.History. The whole batch is one transaction, and
// batches of several callers share one.
func (s *Store) AppendBatch(ctx context.Context, batch []storage.AppendRequest) []storage.AppendResult {
	batch = slices.Clone(batch)
	for i := range batch {
		ev := *batch[i].Event // the caller's may change once its context is done
		batch[i].Event = &ev
	}
	results := make([]storage.AppendResult, len(batch))
	err := s.write(ctx, func(tx *bolt.Tx) error {
		for i := range batch {
			var err error
			// A key that is refused is the outcome of one event; another error is that of all.
			if results[i], err = s.append(tx, &batch[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		// Not those above, which the transaction may still write to.
		results = slices.Repeat([]storage.AppendResult{{Err: err}}, len(batch))
	}
	return results
}

// write runs a transaction, perhaps with those of others, and waits until it is on the
// disk or ctx is done. f may be called twice.
func (s *Store) write(ctx context.Context, f func(*bolt.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- s.db.Batch(f) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", storage.ErrOutcomeUnknown, ctx.Err())
	}
}

// append gives an event its place in a transaction.
func (s *Store) append(tx *bolt.Tx, r *storage.AppendRequest) (result storage.AppendResult, err error) {
	ch, err := create(tx, r.Channel)
	if err != nil {
		return result, err
	}
	now, opts := s.now(), &r.Options
	if err := ch.forgetKeys(now); err != nil {
		return result, err
	}
	if used := ch.key(opts.IdempotencyKey); used != nil {
		if used.Hash != opts.RequestHash {
			result.Err = &storage.KeyReusedError{Channel: r.Channel, Key: opts.IdempotencyKey, Position: used.Position}
			return result, nil
		}
		result.Appended = storage.Appended{Position: used.Position, Duplicate: true}
		return result, nil
	}
	latest := ch.latest()
	if latest.Before(opts.Floor) { // the file has lost what the caller knows of
		epoch, err := begin(tx, opts.Floor.Epoch)
		if err != nil {
			return result, err
		}
		latest = storage.Position{Epoch: epoch}
	}
	ev := *r.Event
	ev.Position, ev.Prev = ch.next(latest)
	if err := ch.keep(&ev, opts.Retention, now); err != nil {
		return result, err
	}
	if opts.IdempotencyKey != "" {
		window := opts.IdempotencyWindow
		if window <= 0 {
			window = storage.DefaultIdempotencyWindow
		}
		used := usedKey{Position: ev.Position, Hash: opts.RequestHash}
		if err := ch.useKey(opts.IdempotencyKey, used, now.Add(window)); err != nil {
			return result, err
		}
	}
	result.Appended = storage.Appended{Position: ev.Position, Prev: ev.Prev}
	return result, ch.save()
}

// Read implements storage.History.
func (s *Store) Read(ctx context.Context, id storage.ChannelID, opts storage.ReadOptions) (page storage.Page, err error) {
	if err := ctx.Err(); err != nil {
		return page, err
	}
	err = s.db.View(func(tx *bolt.Tx) error {
		ch, err := find(tx, id)
		if err != nil {
			return err
		}
		page.Latest = ch.latest()
		oldest := ch.oldest(s.now(), opts.Fill)
		if from := opts.From; !from.IsZero() {
			following, known := ch.following(from)
			lost := !opts.Backward && !following.IsZero() && (oldest.IsZero() || oldest.After(following))
			if !known || lost {
				return &storage.GapError{Channel: id, From: from, Oldest: oldest, Latest: page.Latest}
			}
		}
		if oldest.IsZero() {
			return nil
		}
		return ch.read(&page, oldest, opts)
	})
	if err != nil {
		return storage.Page{}, err
	}
	return page, nil
}

// Latest implements storage.History.
func (s *Store) Latest(ctx context.Context, ids []storage.ChannelID) ([]storage.Position, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	all := make([]storage.Position, len(ids))
	return all, s.db.View(func(tx *bolt.Tx) error {
		for i, id := range ids {
			ch, err := find(tx, id)
			if err != nil {
				return err
			}
			all[i] = ch.latest()
		}
		return nil
	})
}

// Delete implements storage.History. The channel's positions are not given again.
func (s *Store) Delete(ctx context.Context, id storage.ChannelID) error {
	return s.write(ctx, func(tx *bolt.Tx) error {
		ch, err := find(tx, id)
		if err != nil || ch.bucket == nil {
			return err
		}
		return ch.empty()
	})
}
