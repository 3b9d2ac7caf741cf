package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
)

var (
	powerCuts = flag.Int("power-cuts", 60, "how often TestPowerCuts cuts the power")
	powerSeed = flag.Uint64("power-seed", rand.Uint64(), "what the tests of power cuts choose by")
)

var twoRooms = []storage.ChannelID{{App: "app", Name: "room"}, {App: "app", Name: "other room"}}

// pair are two events, of two channels, that are appended in one transaction.
func pair(id string) []storage.Prepared {
	both := []storage.Prepared{prepared(id), prepared(id)}
	both[1].Channel = twoRooms[1]
	return both
}

// publishPair appends a pair by AppendTx.
func publishPair(ctx context.Context, st *Store, id string) error {
	return st.InTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := st.AppendTx(ctx, tx, pair(id)...)
		return err
	})
}

// checkpoint takes what the WAL has into the file, as far as readers let it.
func checkpoint(t testing.TB, st *Store) {
	t.Helper()
	_, err := st.DB().ExecContext(t.Context(), `PRAGMA wal_checkpoint(RESTART)`)
	assert.NoError(t, err)
}

// TestSyncedBeforeAcknowledged loses, at every acknowledgement, all that was not synced
// by then.
func TestSyncedBeforeAcknowledged(t *testing.T) {
	d := newDisk(t)
	r := record(d)
	st := open(t, onDisk(d))
	type moment struct {
		events int
		img    image
	}
	var moments []moment
	acknowledged := func(events int) {
		r.mu.Lock()
		defer r.mu.Unlock()
		moments = append(moments, moment{events, r.image(nil)})
	}
	events := 0
	for n := range 8 {
		id := fmt.Sprint(n)
		switch n % 4 {
		case 0, 1:
			p := prepared(id)
			_, err := st.Append(t.Context(), room, p.Event, p.Options)
			require.NoError(t, err)
			events++
		case 2:
			require.NoError(t, publishPair(t.Context(), st, id))
			events++
		case 3:
			var batch []storage.AppendRequest
			for i := range 3 {
				p := prepared(fmt.Sprintf("%s-%d", id, i))
				batch = append(batch, storage.AppendRequest{Channel: p.Channel, Event: p.Event, Options: p.Options})
			}
			for _, result := range st.AppendBatch(t.Context(), batch) {
				require.NoError(t, result.Err)
			}
			events += len(batch)
		}
		acknowledged(events)
		if n == 4 {
			checkpoint(t, st)
			acknowledged(events)
		}
	}
	all := kept(t, st)
	for _, m := range moments {
		require.Equal(t, all[:m.events], kept(t, m.img.open(t)))
	}
}

// maxFileCuts is how often the power of one file is cut at most: each cut keeps an image.
const maxFileCuts = 100

// TestPowerCuts cuts the power in the middle of what the store does, so that of what was
// not synced any sectors may be on the disk.
func TestPowerCuts(t *testing.T) {
	t.Logf("-power-seed %d", *powerSeed)
	random := rand.New(rand.NewPCG(*powerSeed, 1))
	for left := *powerCuts; left > 0; left -= maxFileCuts {
		t.Run(fmt.Sprintf("%d left", left), func(t *testing.T) { cutPower(t, random, min(left, maxFileCuts)) })
		if t.Failed() {
			return
		}
	}
}

// cutPower cuts the power of a file that many times.
func cutPower(t *testing.T, random *rand.Rand, n int) {
	d := newDisk(t)
	r := record(d)
	st := open(t, onDisk(d))
	type cut struct {
		img   image
		acked map[string]bool
	}
	var cuts []cut
	acked := make(map[string]bool) // guarded by r.mu
	r.mu.Lock()
	r.changed = func() {
		if len(cuts) < n && random.IntN(8) == 0 {
			cuts = append(cuts, cut{r.image(random), maps.Clone(acked)})
		}
	}
	enough := func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(cuts) >= n
	}
	r.mu.Unlock()
	var publishing sync.WaitGroup
	for p := range 4 {
		publishing.Go(func() {
			for n := 0; !enough(); n++ {
				id := fmt.Sprintf("%d/%d", p, n)
				var err error
				if p == 0 {
					err = publishPair(t.Context(), st, id)
				} else {
					event := prepared(id)
					_, err = st.Append(t.Context(), room, event.Event, event.Options)
				}
				if !assert.NoError(t, err) {
					return
				}
				r.mu.Lock()
				acked[id] = true
				r.mu.Unlock()
				if p == 1 && n%4 == 3 {
					checkpoint(t, st)
				}
			}
		})
	}
	publishing.Wait()
	all := kept(t, st)
	pairs := keptOf(t, st, twoRooms[1])
	for _, c := range cuts {
		left := c.img.open(t)
		found := kept(t, left)
		require.Equal(t, all[:len(found)], found, "a prefix")
		require.Subset(t, found, slices.Collect(maps.Keys(c.acked)))
		other := keptOf(t, left, twoRooms[1])
		require.Equal(t, pairs[:len(other)], other)
		for _, id := range pairs {
			require.Equal(t, slices.Contains(found, id), slices.Contains(other, id), "both events of a transaction, or none")
		}
		require.NoError(t, left.Close())
	}
}

const (
	walHeader   = 32
	frameHeader = 24
)

// TestWALCuts cuts the WAL at every frame and within: what is left is what had been
// appended up to some event, and that is none before the last one which had been
// acknowledged when the WAL was as long.
func TestWALCuts(t *testing.T) {
	d := newDisk(t)
	r := record(d)
	st := openFile(t, filepath.Join(t.TempDir(), "carillon.db"), onDisk(d))
	checkpoint(t, st) // so that what follows is in the WAL, and the tables in the file
	var lengths []int // of the WAL when each event had been acknowledged
	for n := range 12 {
		if n%3 == 2 {
			require.NoError(t, publishPair(t.Context(), st, fmt.Sprint(n)))
		} else {
			p := prepared(fmt.Sprint(n))
			_, err := st.Append(t.Context(), room, p.Event, p.Options)
			require.NoError(t, err)
		}
		r.mu.Lock()
		lengths = append(lengths, len(r.files["wal"].synced))
		r.mu.Unlock()
	}
	r.mu.Lock()
	img := r.image(nil)
	r.mu.Unlock()
	all, pairs := kept(t, st), keptOf(t, st, twoRooms[1])
	require.Len(t, all, len(lengths))
	wal := img["wal"]
	frame := frameHeader + int(binary.BigEndian.Uint32(wal[8:12]))
	require.Zero(t, (len(wal)-walHeader)%frame)
	last := 0
	for start := walHeader; start <= len(wal); start += frame {
		for _, end := range []int{start, start + frameHeader, start + frame/2, start + frame - 1} {
			if end > len(wal) {
				continue
			}
			acked := 0
			for acked < len(lengths) && lengths[acked] <= end {
				acked++
			}
			left := image{"db": img["db"], "wal": wal[:end]}.open(t)
			found := kept(t, left)
			require.Equal(t, all[:len(found)], found, "cut at %d", end)
			require.GreaterOrEqual(t, len(found), acked, "cut at %d", end)
			require.GreaterOrEqual(t, len(found), last, "cut at %d", end)
			last = len(found)
			other := keptOf(t, left, twoRooms[1])
			require.Equal(t, pairs[:len(other)], other)
			for _, id := range pairs {
				require.Equal(t, slices.Contains(found, id), slices.Contains(other, id), "cut at %d", end)
			}
			require.NoError(t, left.Close())
		}
	}
	require.Equal(t, len(all), last)
}
