package storagetest

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
)

// Without a fault there is no difference.
func TestFaultsPass(t *testing.T) {
	RunHistory(t, func(t *testing.T) storage.History {
		f := NewFaults(NewEngine(true), func(Call) Fault { return Fault{} })
		t.Cleanup(f.Close)
		return f
	}, WithSynctest())
}

func TestFaults(t *testing.T) {
	broken := errors.New("broken")
	ch := storage.ChannelID{App: "app", Name: "room"}
	for name, tc := range map[string]struct {
		fault Fault
		err   error
		takes time.Duration
		kept  int // by the time the call returns
		later int // in the end
	}{
		"none":              {kept: 1, later: 1},
		"not taken":         {fault: Fault{Err: broken}, err: broken},
		"taken":             {fault: Fault{Err: broken, Taken: true}, err: broken, kept: 1, later: 1},
		"late":              {fault: Fault{Err: broken, Late: time.Second}, err: broken, later: 1},
		"slow to come":      {fault: Fault{Wait: time.Second}, takes: time.Second, kept: 1, later: 1},
		"slow to return":    {fault: Fault{Hold: time.Second}, takes: time.Second, kept: 1, later: 1},
		"too slow to come":  {fault: Fault{Wait: time.Minute}, err: context.DeadlineExceeded, takes: 10 * time.Second},
		"too slow":          {fault: Fault{Hold: time.Minute}, err: context.DeadlineExceeded, takes: 10 * time.Second, kept: 1, later: 1},
		"hangs":             {fault: Fault{Hang: true}, err: context.DeadlineExceeded, takes: 10 * time.Second},
		"hangs, taken":      {fault: Fault{Hang: true, Taken: true}, err: context.DeadlineExceeded, takes: 10 * time.Second, kept: 1, later: 1},
		"hangs, taken late": {fault: Fault{Hang: true, Late: time.Minute}, err: context.DeadlineExceeded, takes: 10 * time.Second, later: 1},
	} {
		for _, batch := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := NewFaults(NewEngine(false), func(c Call) Fault {
						if c.Op == OpAppend && c.N == 1 {
							return tc.fault
						}
						return Fault{}
					})
					kept := func() int {
						page, err := f.Read(t.Context(), ch, storage.ReadOptions{})
						require.NoError(t, err)
						return len(page.Events)
					}
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
					defer cancel()
					start := time.Now()
					var err error
					if batch {
						err = f.AppendBatch(ctx, []storage.AppendRequest{{Channel: ch, Event: event(ch, "1"), Options: keep(10)}})[0].Err
					} else {
						_, err = f.Append(ctx, ch, event(ch, "1"), keep(10))
					}
					require.ErrorIs(t, err, tc.err)
					assert.Equal(t, tc.takes, time.Since(start))
					assert.Equal(t, tc.kept, kept())
					f.Close()
					assert.Equal(t, tc.later, kept())
				})
			})
		}
	}
}

func TestFaultsOfNotifications(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewFaults(NewEngine(false), func(c Call) Fault {
			if c.Op != OpNotify || c.Event == nil {
				return Fault{}
			}
			return map[string]Fault{"2": {Drop: true}, "3": {Hold: time.Second}, "4": {Repeat: 2}}[string(c.Event.Data)]
		})
		ctx, cancel := context.WithCancel(t.Context())
		told := make(chan storage.Commit, 10)
		go func() {
			assert.ErrorIs(t, f.Watch(ctx, func(c storage.Commit) { told <- c }), context.Canceled)
			close(told)
		}()
		assert.Equal(t, storage.Commit{}, <-told)
		ch := storage.ChannelID{App: "app", Name: "room"}
		for _, data := range []string{"1", "2", "3", "4", "5"} {
			_, err := f.Append(t.Context(), ch, event(ch, data), keep(10))
			require.NoError(t, err)
		}
		time.Sleep(2 * time.Second)
		cancel()
		var got []string
		for c := range told {
			got = append(got, string(c.Event.Data))
		}
		assert.Equal(t, []string{"1", "4", "4", "4", "5", "3"}, got)
	})
}
