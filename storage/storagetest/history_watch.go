package storagetest

import (
	"context"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
)

// checkWatch is for stores that implement storage.Watch.
func checkWatch(t *historyTest) {
	store, ok := t.store.(storage.Watch)
	if !ok {
		return
	}
	ctx, cancel := context.WithCancel(t.ctx)
	commits, ended := make(chan storage.Commit, 1000), make(chan error, 1)
	go func() {
		ended <- store.Watch(ctx, func(c storage.Commit) {
			select {
			case commits <- c:
			default: // hints may be lost
			}
		})
	}()
	defer func() {
		cancel()
		require.Error(t, <-ended, "Watch says why it ended")
	}()
	await := func(what string, ok func(storage.Commit) bool) {
		t.Helper()
		late := time.After(30 * time.Second)
		for {
			select {
			case c := <-commits:
				if ok(c) {
					return
				}
			case <-late:
				t.Fatalf("not told of %s", what)
			}
		}
	}
	await("the beginning", func(c storage.Commit) bool { return c == storage.Commit{} })
	for _, ch := range alike(t.app) {
		before := t.latest(ch)
		pos := t.append(ch, ch.String(), keep(10)).Position
		await("an append to "+ch.String(), func(c storage.Commit) bool {
			if c.Event != nil {
				require.NoError(t, follow(before, []storage.Event{*c.Event}))
				require.Equal(t, ch.String(), string(c.Event.Data))
			}
			return c.Channel == ch && (c.Latest == pos || c.Latest.IsZero()) || c == storage.Commit{}
		})
	}
}
