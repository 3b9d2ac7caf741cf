package storagetest

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/carillon-rt/carillon/storage"
)

// historyModel is what a channel has to keep, as simply as can be said.
type historyModel struct {
	ch  storage.ChannelID
	now time.Duration
	// positions are those of the current epoch: the one before its first event, and
	// of each. It is empty until the first append.
	positions []storage.Position
	events    []modelEvent // the last of the epoch's that the retention has not removed
	keep      storage.Retention
	keys      map[string]modelKey
}

type modelEvent struct {
	pos  storage.Position
	data string
	at   time.Duration
}

type modelKey struct {
	pos   storage.Position
	hash  [32]byte
	until time.Duration
}

func checkHistoryModel(t *historyTest) {
	rapid.Check(t, func(rt *rapid.T) {
		app := unique("app")
		var models []*historyModel
		for _, name := range []string{"one", "two"} {
			models = append(models, &historyModel{
				ch:   storage.ChannelID{App: app, Name: name},
				keys: map[string]modelKey{},
			})
		}
		channel := rapid.SampledFrom(models)
		actions := map[string]func(*rapid.T){
			"append": func(rt *rapid.T) { t.modelAppend(rt, channel.Draw(rt, "channel")) },
			"read":   func(rt *rapid.T) { t.modelRead(rt, channel.Draw(rt, "channel")) },
			"delete": func(rt *rapid.T) {
				if m := channel.Draw(rt, "channel"); rapid.IntRange(0, 3).Draw(rt, "really") == 0 {
					require.NoError(rt, t.store.Delete(t.ctx, m.ch))
					m.events, m.keep = nil, storage.Retention{}
					clear(m.keys)
				}
			},
			"latest": func(rt *rapid.T) {
				m := channel.Draw(rt, "channel")
				latest, err := storage.LatestOf(t.ctx, t.store, m.ch)
				require.NoError(rt, err)
				m.requireLatest(rt, latest)
			},
		}
		if t.clock.exact() {
			actions["time passes"] = func(rt *rapid.T) {
				d := t.clock.tick * time.Duration(2*rapid.IntRange(1, 3).Draw(rt, "ticks/2"))
				t.clock.advance(d)
				for _, m := range models {
					m.now += d
				}
			}
		}
		rt.Repeat(actions)
	})
}

func (t *historyTest) modelAppend(rt *rapid.T, m *historyModel) {
	opts := storage.AppendOptions{
		Retention:      storage.Retention{Events: rapid.IntRange(0, 6).Draw(rt, "keep")},
		IdempotencyKey: rapid.SampledFrom([]string{"", "", "k", "l"}).Draw(rt, "key"),
	}
	opts.RequestHash[0] = rapid.SampledFrom([]byte{0, 0, 1}).Draw(rt, "request")
	window := storage.DefaultIdempotencyWindow
	if t.clock.exact() {
		opts.Retention.Age = t.clock.tick * time.Duration(rapid.SampledFrom([]int{0, 1, 3, 7}).Draw(rt, "age in ticks"))
		opts.IdempotencyWindow = t.clock.tick * time.Duration(rapid.SampledFrom([]int{1, 3, 7}).Draw(rt, "window in ticks"))
		window = opts.IdempotencyWindow
	}
	data := strconv.Itoa(rapid.IntRange(0, 999).Draw(rt, "data"))
	out, err := t.store.Append(t.ctx, m.ch, event(m.ch, data), opts)
	if used, ok := m.keys[opts.IdempotencyKey]; ok && m.now < used.until {
		if opts.RequestHash != used.hash {
			var reused *storage.KeyReusedError
			require.ErrorAs(rt, err, &reused, "a key used for another request")
			require.Equal(rt, used.pos, reused.Position)
			return
		}
		require.NoError(rt, err)
		require.Equal(rt, storage.Appended{Position: used.pos, Duplicate: true}, out, "a retry")
		return
	}
	require.NoError(rt, err)
	require.False(rt, out.Duplicate)
	m.place(rt, out.Position)
	if opts.IdempotencyKey != "" {
		m.keys[opts.IdempotencyKey] = modelKey{out.Position, opts.RequestHash, m.now + window}
	}
	m.trim()
	m.keep = opts.Retention
	m.events = append(m.events, modelEvent{out.Position, data, m.now})
	m.trim()
}

// place notes the position of an event.
func (m *historyModel) place(rt *rapid.T, pos storage.Position) {
	latest := m.latest()
	require.True(rt, pos.After(latest), "%v after %v", pos, latest)
	if pos.Epoch != latest.Epoch {
		require.True(rt, m.forgettable(), "a new epoch, of a channel that keeps something")
		m.positions = []storage.Position{{Epoch: pos.Epoch}}
	}
	m.positions = append(m.positions, pos)
}

// latest returns the latest position, and none before the first append.
func (m *historyModel) latest() storage.Position {
	if len(m.positions) == 0 {
		return storage.Position{}
	}
	return last(m.positions)
}

// trim removes what the retention no longer keeps.
func (m *historyModel) trim() {
	for len(m.events) > m.keep.Events || len(m.events) > 0 && m.keep.Age > 0 && m.now-m.events[0].at >= m.keep.Age {
		m.events = m.events[1:]
	}
}

// forgettable reports whether the store may have forgotten the channel.
func (m *historyModel) forgettable() bool {
	m.trim()
	for _, key := range m.keys {
		if m.now < key.until {
			return false
		}
	}
	return len(m.events) == 0
}

func (m *historyModel) requireLatest(rt *rapid.T, latest storage.Position) {
	if want := m.latest(); latest != want {
		require.True(rt, m.forgettable(), "the latest position is %v; want %v", latest, want)
		require.True(rt, latest.After(want), "%v after %v", latest, want)
		require.Zero(rt, latest.Offset, "the latest position of a channel that is forgotten")
	}
}

func (t *historyTest) modelRead(rt *rapid.T, m *historyModel) {
	opts := storage.ReadOptions{
		Backward:  rapid.Bool().Draw(rt, "backward"),
		Inclusive: rapid.Bool().Draw(rt, "inclusive"),
		MaxEvents: rapid.IntRange(0, 4).Draw(rt, "limit"),
		From:      m.drawFrom(rt),
	}
	page, err := t.store.Read(t.ctx, m.ch, opts)
	if err != nil {
		var gap *storage.GapError
		require.True(rt, errors.Is(err, storage.ErrGap) && errors.As(err, &gap), "the error of a read: %v", err)
		m.requireGap(rt, opts, gap)
		return
	}
	want, gap := m.read(opts)
	require.False(rt, gap, "a read across a gap returned %+v", page)
	m.requireLatest(rt, page.Latest)
	more := opts.MaxEvents > 0 && len(want) > opts.MaxEvents
	if more {
		want = want[:opts.MaxEvents]
	}
	require.Equal(rt, more, page.More, "Page.More")
	require.Len(rt, page.Events, len(want))
	for i, ev := range page.Events {
		require.Equal(rt, want[i].pos, ev.Position)
		require.Equal(rt, want[i].data, string(ev.Data))
	}
}

// drawFrom draws a position to read from, which often is the channel's.
func (m *historyModel) drawFrom(rt *rapid.T) storage.Position {
	kind := rapid.IntRange(0, 5).Draw(rt, "from")
	switch {
	case kind == 0 || len(m.positions) == 0:
		return storage.Position{}
	case kind == 1:
		return elsewhere(m.latest())
	case kind == 2:
		return ahead(m.latest(), 1)
	default:
		return rapid.SampledFrom(m.positions).Draw(rt, "position")
	}
}

// read returns all events that a read without a limit has to return, and whether
// it has to fail.
func (m *historyModel) read(opts storage.ReadOptions) (events []modelEvent, gap bool) {
	m.trim()
	if from := opts.From; !from.IsZero() {
		i := slices.Index(m.positions, from)
		if i < 0 || !opts.Backward && i+1 < len(m.positions)-len(m.events) {
			return nil, true
		}
	}
	for _, ev := range m.events {
		after := ev.pos.Compare(opts.From)
		switch {
		case opts.Backward && (opts.From.IsZero() || after < 0 || after == 0 && opts.Inclusive):
			events = append([]modelEvent{ev}, events...)
		case !opts.Backward && after > 0:
			events = append(events, ev)
		}
	}
	return events, false
}

func (m *historyModel) requireGap(rt *rapid.T, opts storage.ReadOptions, gap *storage.GapError) {
	_, want := m.read(opts)
	require.True(rt, want || m.forgettable() && !opts.From.IsZero(), "no gap at %+v: %v", opts, gap)
	require.Equal(rt, m.ch, gap.Channel)
	require.Equal(rt, opts.From, gap.From)
	m.requireLatest(rt, gap.Latest)
	oldest := storage.Position{}
	if len(m.events) > 0 {
		oldest = m.events[0].pos
	}
	require.Equal(rt, oldest, gap.Oldest, "the oldest position")
}
