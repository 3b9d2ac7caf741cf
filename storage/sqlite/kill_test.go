package sqlite

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
)

var (
	kills    = flag.Int("kills", 10, "how often TestKill kills a process")
	killSeed = flag.Uint64("kill-seed", rand.Uint64(), "what TestKill chooses its moments by")
)

const (
	killPublishers = 16
	killChannels   = 3
)

// TestKill kills a process in mid-publish, again and again, and looks at what its file
// has. What was acknowledged is there, in order and once; the rest is there whole, or
// not at all; and a retry gets the first position.
func TestKill(t *testing.T) {
	t.Logf("-kill-seed %d", *killSeed)
	random := rand.New(rand.NewPCG(*killSeed, 0))
	path := filepath.Join(t.TempDir(), "carillon.db")
	publishers := make([]*killPublisher, killPublishers)
	for i := range publishers {
		publishers[i] = &killPublisher{name: fmt.Sprintf("p%d", i), channel: fmt.Sprintf("c%d", i%killChannels), tx: i%4 == 3}
	}
	file := &killFile{path: path, latest: make(map[string]storage.Position)}
	file.look(t, publishers)
	for round := range *kills {
		// Now and then the child has not even opened the file.
		acks := int64(0)
		if round%5 > 0 {
			acks = random.Int64N(400)
		}
		c := startChild(t, path)
		var acked atomic.Int64
		enough := make(chan struct{})
		var reached sync.Once
		var publishing sync.WaitGroup
		for _, p := range publishers {
			publishing.Go(func() {
				p.publish(t, c, func() {
					if acked.Add(1) >= acks {
						reached.Do(func() { close(enough) })
					}
				})
			})
		}
		if acks > 0 {
			select {
			case <-enough:
			case <-c.read:
				t.Error("the child has ended by itself")
			}
		}
		c.kill(t)
		publishing.Wait()
		file.look(t, publishers)
		if t.Failed() {
			t.Fatalf("after kill %d", round+1)
		}
	}
	c := startChild(t, path)
	for _, p := range publishers {
		p.settle(t, c)
	}
	c.stop(t)
	file.look(t, publishers)
	t.Logf("%d kills, %d events, %d of them not acknowledged at first", *kills, file.events, file.unacknowledged)
}

// killPublisher publishes one event after another. If one is not acknowledged, it
// tries that again with the next process.
type killPublisher struct {
	name, channel string
	tx            bool
	acked         []storage.Position // of its events, in order
	// pending is the number of its last event if that was not acknowledged, and found
	// its position if the file has it nevertheless.
	pending bool
	found   storage.Position
}

func (p *killPublisher) request(n int) childRequest {
	data := fmt.Sprintf("%s/%d/", p.name, n)
	return childRequest{Channel: p.channel, Key: fmt.Sprintf("%s/%d", p.name, n), Data: data + strings.Repeat("x", 50*n%997) + "/" + data, Tx: p.tx}
}

// publish publishes until the child has ended.
func (p *killPublisher) publish(t testing.TB, c *childProcess, acked func()) {
	for p.settle(t, c) {
		a, ok, err := c.publish(p.request(len(p.acked)))
		assert.NoError(t, err)
		if p.pending = !ok; !ok {
			return
		}
		assert.False(t, a.Duplicate, p.name)
		p.acked = append(p.acked, a.Position)
		acked()
	}
}

// settle tries what was not acknowledged again, or what was, and reports whether the
// child is still there.
func (p *killPublisher) settle(t testing.TB, c *childProcess) bool {
	n := len(p.acked)
	switch {
	case p.pending:
		a, ok, err := c.publish(p.request(n))
		assert.NoError(t, err)
		if !ok {
			return false
		}
		assert.Equal(t, !p.found.IsZero(), a.Duplicate, "retry of %s/%d", p.name, n)
		if a.Duplicate {
			assert.Equal(t, p.found, a.Position, "retry of %s/%d", p.name, n)
		}
		p.acked, p.pending, p.found = append(p.acked, a.Position), false, storage.Position{}
	case n > 0 && n%20 == 0:
		a, ok, err := c.publish(p.request(n - 1))
		assert.NoError(t, err)
		if !ok {
			return false
		}
		assert.True(t, a.Duplicate)
		assert.Equal(t, p.acked[n-1], a.Position)
	}
	return true
}

// killFile is what the test knows of the file.
type killFile struct {
	path                   string
	latest                 map[string]storage.Position // of each channel
	events, unacknowledged int
}

// look opens the file and compares it with what the publishers know. It notes what they
// were not told.
func (f *killFile) look(t testing.TB, publishers []*killPublisher) {
	t.Helper()
	st, err := Open(f.path)
	require.NoError(t, err)
	defer func() { require.NoError(t, st.Close()) }()
	found := make(map[string]storage.Position) // by data
	f.events = 0
	for i := range killChannels {
		ch := storage.ChannelID{App: childApp, Name: fmt.Sprintf("c%d", i)}
		page, err := st.Read(t.Context(), ch, storage.ReadOptions{})
		require.NoError(t, err)
		var last storage.Position
		for _, ev := range page.Events {
			assert.True(t, ev.Position.After(last))
			if ev.Position.Epoch != last.Epoch {
				assert.EqualValues(t, 1, ev.Position.Offset, "the first of an epoch")
				assert.Equal(t, last, ev.Prev, "the last of the epoch before")
			} else {
				assert.Equal(t, last.Offset+1, ev.Position.Offset, "a hole")
			}
			last = ev.Position
			// assert.NotContains goes through the whole map.
			_, twice := found[string(ev.Data)]
			assert.False(t, twice, "%s is there twice", ev.Data)
			found[string(ev.Data)] = ev.Position
		}
		f.events += len(page.Events)
		assert.True(t, page.Latest.After(last), "every opening begins an epoch")
		if from := f.latest[ch.Name]; !from.IsZero() {
			_, err := st.Read(t.Context(), ch, storage.ReadOptions{From: from})
			assert.NoError(t, err, "going on from before")
		}
		f.latest[ch.Name] = page.Latest
	}
	total := len(found)
	for _, p := range publishers {
		for n, at := range p.acked {
			data := p.request(n).Data
			assert.Equal(t, at, found[data], "%s/%d", p.name, n)
			if n > 0 {
				assert.True(t, at.After(p.acked[n-1]), "%s/%d", p.name, n)
			}
			delete(found, data)
		}
		if p.pending {
			f.unacknowledged++
			data := p.request(len(p.acked)).Data
			p.found = found[data]
			delete(found, data)
		}
	}
	assert.Empty(t, found, "what nobody has published, or not whole; %d events", total)
	if total == 0 {
		return
	}
	f.lookAtNotes(t, st, publishers)
}

// lookAtNotes compares the table that was written to in the transactions of events.
func (f *killFile) lookAtNotes(t testing.TB, st *Store, publishers []*killPublisher) {
	t.Helper()
	want := make(map[string]bool)
	for _, p := range publishers {
		for n := range p.acked {
			want[p.request(n).Data] = p.tx
		}
		if p.pending && !p.found.IsZero() {
			want[p.request(len(p.acked)).Data] = p.tx
		}
	}
	rows, err := st.DB().QueryContext(t.Context(), `SELECT text FROM note`)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var text string
		require.NoError(t, rows.Scan(&text))
		assert.True(t, want[text], "a row without its event, or twice")
		delete(want, text)
	}
	require.NoError(t, rows.Err())
	for data, tx := range want {
		assert.False(t, tx, "an event without its row: %.20s", data)
	}
}
