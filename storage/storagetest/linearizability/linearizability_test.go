package linearizability

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/memory"
	"github.com/carillon-rt/carillon/storage/storagetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemory(t *testing.T) {
	History(t, memory.New())
	Presence(t, memory.New())
}

func TestEngine(t *testing.T) {
	for _, holes := range []bool{false, true} {
		History(t, storagetest.NewEngine(holes))
	}
}

// What a call that failed has done is for others to see, or not: but for all alike.
func TestFaults(t *testing.T) {
	broken := errors.New("broken")
	faults := storagetest.NewFaults(storagetest.NewEngine(true), func(c storagetest.Call) storagetest.Fault {
		if c.Op != storagetest.OpAppend {
			return storagetest.Fault{}
		}
		switch c.N % 11 {
		case 3:
			return storagetest.Fault{Err: broken}
		case 7:
			return storagetest.Fault{Err: broken, Taken: true}
		}
		return storagetest.Fault{}
	})
	defer faults.Close()
	History(t, faults)
}

// recording notes a failure instead of failing the test.
type recording struct {
	testing.TB
	failed atomic.Bool
}

func (r *recording) Errorf(string, ...any) { r.failed.Store(true) }
func (r *recording) Fatalf(string, ...any) { r.failed.Store(true); runtime.Goexit() }
func (r *recording) Logf(string, ...any)   {}

// stale answers reads from what was there a call ago.
type stale struct {
	storage.History
	mu   sync.Mutex
	last map[storage.ReadOptions]storage.Page
}

func (s *stale) Read(ctx context.Context, ch storage.ChannelID, opts storage.ReadOptions) (storage.Page, error) {
	page, err := s.History.Read(ctx, ch, opts)
	s.mu.Lock()
	defer s.mu.Unlock()
	old, ok := s.last[opts]
	if err == nil {
		s.last[opts] = page
	}
	if ok {
		return old, nil
	}
	return page, err
}

// hasty acknowledges an append before it happens.
type hasty struct {
	storage.History
	pending sync.WaitGroup
}

func (h *hasty) Append(ctx context.Context, ch storage.ChannelID, ev *storage.Event, opts storage.AppendOptions) (storage.Appended, error) {
	latest, err := storage.LatestOf(ctx, h.History, ch)
	latest.Offset++
	own := *ev
	h.pending.Go(func() {
		runtime.Gosched()
		_, _ = h.History.Append(ctx, ch, &own, opts)
	})
	return storage.Appended{Position: latest}, err
}

// twoSteps says whether a member is new by a look before the join.
type twoSteps struct{ storage.Presence }

func (s twoSteps) Join(ctx context.Context, ch storage.ChannelID, conn storage.Connection, m storage.Member, opts storage.JoinOptions) (storage.Joined, error) {
	are, err := s.AreMembers(ctx, ch, []string{m.UserID})
	if err != nil {
		return storage.Joined{}, err
	}
	runtime.Gosched()
	joined, err := s.Presence.Join(ctx, ch, conn, m, opts)
	joined.First = err == nil && !are[0]
	return joined, err
}

func TestWhatIsWrongIsFound(t *testing.T) {
	caught := func(name string, once func(tb testing.TB)) {
		t.Run(name, func(t *testing.T) {
			for range 200 {
				r := &recording{TB: t}
				done := make(chan struct{})
				go func() { defer close(done); once(r) }()
				<-done
				if r.failed.Load() {
					return
				}
			}
			require.Fail(t, "the broken store passed")
		})
	}
	history := func(tb testing.TB, store storage.History) {
		run(tb, historyModel.ToModel(), (&historyRun{t: tb, store: store, ch: storage.ChannelID{App: unique("app"), Name: "room"}}).client)
	}
	caught("stale", func(tb testing.TB) {
		history(tb, &stale{History: memory.New(), last: map[storage.ReadOptions]storage.Page{}})
	})
	caught("hasty", func(tb testing.TB) {
		h := &hasty{History: memory.New()}
		defer h.pending.Wait()
		history(tb, h)
	})
	caught("two steps", func(tb testing.TB) {
		p := &presenceRun{t: tb, store: twoSteps{memory.New()}, ch: storage.ChannelID{App: "app", Name: "presence-room"}, node: "node"}
		run(tb, presenceModel.ToModel(), p.client)
	})
}
