package transport

import (
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// hoard is a queue that lets go of nothing unless it is cut.
type hoard struct {
	mu      sync.Mutex
	account Account
	pieces  [][]byte
	size    int
	cut     error
}

func newHoard(b *Budget, pieces ...[]byte) *hoard {
	h := &hoard{}
	h.account.Open(b, h)
	h.add(pieces...)
	return h
}

func (h *hoard) add(pieces ...[]byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range pieces {
		h.pieces = append(h.pieces, p)
		h.size += len(p)
		h.account.Set(h.size)
	}
}

func (h *hoard) drain() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pieces, h.size = nil, 0
	h.account.Set(0)
}

func (h *hoard) Held(yield func([]byte) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.pieces {
		if !yield(p) {
			return
		}
	}
}

func (h *hoard) Release(err error) {
	h.cut = err
	h.drain()
}

func lot(n, size int) (pieces [][]byte) {
	for range n {
		pieces = append(pieces, make([]byte, size))
	}
	return pieces
}

const kib, mib = 1 << 10, 1 << 20

func TestTheLargestQueueIsCutFirst(t *testing.T) {
	b := NewBudget(10 * mib)
	small, large, medium := newHoard(b, lot(20, 100*kib)...), newHoard(b, lot(40, 100*kib)...), newHoard(b, lot(30, 100*kib)...)
	b.Wait()
	for _, h := range []*hoard{small, large, medium} {
		require.NoError(t, h.cut)
	}
	newHoard(b, lot(20, 100*kib)...)
	b.Wait()
	assert.NoError(t, small.cut)
	assert.NoError(t, medium.cut)
	require.ErrorIs(t, large.cut, ErrBudget)
	s := b.Stats()
	assert.EqualValues(t, 1, s.Cut)
	assert.Equal(t, 3, s.Queues)
	assert.EqualValues(t, 10*mib, s.Limit)
	small.drain()
	medium.drain()
	assert.LessOrEqual(t, b.Stats().Bytes, int64(2*mib))
}

func TestWhatQueuesShareCountsOnce(t *testing.T) {
	for name, size := range map[string]int{"large": 100 * kib, "small": 100} {
		t.Run(name, func(t *testing.T) {
			b := NewBudget(8 * mib) // of which the small are sampled
			shared := lot(int(b.limit)/2/size, size)
			sharers := make([]*hoard, 10)
			for i := range sharers {
				sharers[i] = newHoard(b, shared...)
			}
			b.Wait()
			assert.Zero(t, b.Stats().Cut)
			assert.Greater(t, b.Stats().Bytes, 4*b.limit)

			// Who has the same for itself is one queue too many.
			own := newHoard(b, lot(int(b.limit)*3/4/size, size)...)
			b.Wait()
			require.ErrorIs(t, own.cut, ErrBudget)
			assert.EqualValues(t, 1, b.Stats().Cut)
			for _, s := range sharers {
				require.NoError(t, s.cut)
			}
		})
	}
}

// What was shared may be replaced by what is not, while the sum stays as it is.
func TestWhatIsNoLongerSharedIsFound(t *testing.T) {
	b := NewBudget(8 * mib)
	shared := lot(20, 100*kib)
	sharers := make([]*hoard, 20)
	for i := range sharers {
		sharers[i] = newHoard(b, shared...)
	}
	b.Wait()
	require.Zero(t, b.Stats().Cut)
	for _, s := range sharers {
		s.drain()
		s.add(lot(20, 100*kib)...)
	}
	b.Wait()
	assert.Positive(t, b.Stats().Cut)
	left := 0
	for _, s := range sharers {
		left += s.size
	}
	assert.LessOrEqual(t, left, 8*mib)
}

// Small queues are not counted, and who is in no budget is never cut.
func TestBudgetCountsWhatIsLarge(t *testing.T) {
	b := NewBudget(mib)
	for range 100 {
		newHoard(b, lot(60, kib)...)
	}
	assert.Zero(t, b.Stats().Queues)
	free := newHoard(nil, lot(100, mib)...)
	b.Wait()
	assert.Equal(t, BudgetStats{Limit: mib}, b.Stats())
	assert.NoError(t, free.cut)
}

func TestBudgetOfManyAtOnce(t *testing.T) {
	b := NewBudget(4 * mib)
	var all sync.WaitGroup
	hoards := make([]*hoard, 16)
	for i := range hoards {
		hoards[i] = newHoard(b)
		all.Go(func() {
			for range 50 {
				hoards[i].add(lot(1, 32*kib)...)
			}
		})
	}
	all.Wait()
	b.Wait()
	for _, h := range hoards {
		h.drain()
	}
	s := b.Stats()
	assert.Zero(t, s.Bytes)
	assert.Zero(t, s.Queues)
	assert.Positive(t, s.Cut)
}

func TestMemoryOfTheMachine(t *testing.T) {
	for name, tc := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"machine":   {map[string]string{"proc/meminfo": "MemTotal:       16384 kB\nMemFree: 1 kB\n"}, 16 * mib},
		"container": {map[string]string{"proc/meminfo": "MemTotal: 16384 kB\n", "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "8388608\n"}, 8 * mib},
		"no bound":  {map[string]string{"proc/meminfo": "MemTotal: 16384 kB\n", "proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "max\n"}, 16 * mib},
		"service":   {map[string]string{"proc/meminfo": "MemTotal: 16384 kB\n", "proc/self/cgroup": "0::/a.slice/b\n", "sys/fs/cgroup/a.slice/memory.max": "4194304\n", "sys/fs/cgroup/a.slice/b/memory.max": "max"}, 4 * mib},
		"version 1": {map[string]string{"proc/meminfo": "MemTotal: 16384 kB\n", "proc/self/cgroup": "5:cpu:/x\n4:memory:/docker\n", "sys/fs/cgroup/memory/docker/memory.limit_in_bytes": "2097152\n"}, 2 * mib},
		"unknown":   {nil, 0},
		"nonsense":  {map[string]string{"proc/meminfo": "MemTotal: many kB\n", "proc/self/cgroup": "\nx\n"}, 0},
	} {
		root := t.TempDir()
		for file, text := range tc.files {
			require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(root, file)), 0o700))
			require.NoError(t, os.WriteFile(filepath.Join(root, file), []byte(text), 0o600))
		}
		assert.Equal(t, tc.want, memoryIn(root), name)
	}
}

func TestBudgetIsAQuarterOfTheMemory(t *testing.T) {
	before := debug.SetMemoryLimit(400 * mib)
	defer debug.SetMemoryLimit(before)
	b := NewBudget(0)
	newHoard(b, lot(1, mib)...)
	assert.EqualValues(t, 100*mib, b.Stats().Limit)
	debug.SetMemoryLimit(math.MaxInt64)
	b = NewBudget(0)
	newHoard(b, lot(1, mib)...)
	assert.Positive(t, b.Stats().Limit)
}
