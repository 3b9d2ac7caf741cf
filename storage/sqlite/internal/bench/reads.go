package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/sqlite"
)

const (
	// bigChannels are the channels of the big file, and bigBatch is how many events it
	// gets at a time.
	bigChannels = 100
	bigBatch    = 512
	pages       = 2000
)

// reads compares the last events of a channel, and the bytes of an event, in a file of
// many.
func reads(ctx context.Context, dir string, rounds, events int) error {
	b, err := openBare(filepath.Join(dir, "bare.db"))
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "store.db")
	st, err := sqlite.Open(path)
	if err != nil {
		return err
	}
	if err := fill(ctx, b, st, events); err != nil {
		return err
	}
	last := &comparison{what: fmt.Sprintf("last 50 of %d events, µs", events), unit: "µs", goal: "≤ 1.5"}
	for round := range rounds {
		var took [2][]float64
		for i := range 2 * pages {
			channel, which := i/2%bigChannels, (i+round)%2
			began := time.Now()
			n := 0
			if which == 0 {
				page, err := st.Read(ctx, bigChannel(channel), storage.ReadOptions{Backward: true, MaxEvents: 50})
				if err != nil {
					return err
				}
				n = len(page.Events)
			} else {
				rows, err := b.last50(int64(channel))
				if err != nil {
					return err
				}
				n = len(rows)
			}
			if n != 50 {
				return fmt.Errorf("read %d events", n)
			}
			took[which] = append(took[which], float64(time.Since(began).Nanoseconds())/1000)
		}
		last.add(median(took[0]), median(took[1]))
	}
	last.show()

	// Closing takes the WAL into the file.
	if err := errors.Join(st.Close(), b.close()); err != nil {
		return err
	}
	ours, err := size(path)
	if err != nil {
		return err
	}
	theirs, err := size(b.path)
	if err != nil {
		return err
	}
	bytes := &comparison{what: fmt.Sprintf("bytes an event, of %d", len(payload)+24), unit: "B", goal: "reported"}
	bytes.add(float64(ours)/float64(events), float64(theirs)/float64(events))
	bytes.show()
	return nil
}

func bigChannel(n int) storage.ChannelID {
	return storage.ChannelID{App: "bench", Name: fmt.Sprintf("big-%d", n)}
}

// fill writes the same number of events to both.
func fill(ctx context.Context, b *bare, st *sqlite.Store, events int) error {
	for n := 0; n < events; n += bigBatch {
		batch := make([]storage.AppendRequest, min(bigBatch, events-n))
		now := time.Now()
		for i := range batch {
			batch[i] = storage.AppendRequest{
				Channel: bigChannel((n + i) % bigChannels),
				Event:   &storage.Event{ID: fmt.Sprintf("%024d", n+i), Name: "message", Data: payload, Time: now},
				Options: storage.AppendOptions{Retention: storage.Retention{Events: keep}},
			}
		}
		for _, r := range st.AppendBatch(ctx, batch) {
			if r.Err != nil {
				return r.Err
			}
		}
		if err := b.commit(len(batch), bigChannels); err != nil {
			return err
		}
	}
	return nil
}
