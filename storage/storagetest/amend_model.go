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

// amendModel is what a channel has to keep, as simply as can be said. Its amendments are
// fewer than a store may bound.
type amendModel struct {
	ch   storage.ChannelID
	keep storage.Retention
	now  time.Duration
	log  []*amendEntry
	keys map[string]int // the index in log
}

type amendEntry struct {
	pos       storage.Position
	id        string
	kind      storage.AmendKind
	target    *amendEntry // of an amendment
	published string      // what the log shows
	data      string      // what a current read shows
	version   uint64
	retracted bool
	at        time.Duration
	dropped   bool
}

func checkAmendModel(t amendTest) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &amendModel{ch: storage.ChannelID{App: unique("app"), Name: "room"}, keys: map[string]int{}}
		m.keep.Events = rapid.IntRange(1, 5).Draw(rt, "keep")
		if t.clock.exact() {
			m.keep.Age = t.clock.tick * time.Duration(rapid.SampledFrom([]int{0, 0, 5, 9}).Draw(rt, "age in ticks"))
		}
		actions := map[string]func(*rapid.T){
			"publish": func(rt *rapid.T) { t.modelPublish(rt, m) },
			"amend":   func(rt *rapid.T) { t.modelAmend(rt, m) },
			"amend2":  func(rt *rapid.T) { t.modelAmend(rt, m) },
			"read":    func(rt *rapid.T) { t.modelReadAmended(rt, m) },
		}
		if t.clock.exact() {
			actions["time passes"] = func(rt *rapid.T) {
				d := t.clock.tick * time.Duration(2*rapid.IntRange(1, 2).Draw(rt, "ticks/2"))
				t.clock.advance(d)
				m.now += d
			}
		}
		rt.Repeat(actions)
	})
}

// trim removes what the retention does not keep.
func (m *amendModel) trim() {
	events := 0
	for _, e := range slices.Backward(m.log) {
		if e.kind == 0 && !e.dropped {
			events++
		}
		old := m.keep.Age > 0 && m.now-e.at >= m.keep.Age
		e.dropped = e.dropped || old || e.kind == 0 && events > m.keep.Events
	}
}

func (m *amendModel) options() storage.AppendOptions {
	return storage.AppendOptions{Retention: m.keep, IdempotencyWindow: time.Hour}
}

func (t amendTest) modelPublish(rt *rapid.T, m *amendModel) {
	m.trim()
	e := &amendEntry{id: strconv.Itoa(len(m.log)), data: rapid.StringN(0, 3, -1).Draw(rt, "data"), at: m.now}
	e.published = e.data
	out, err := t.store.Append(t.ctx, m.ch, &storage.Event{ID: e.id, Channel: m.ch.Name, Name: "message", Data: []byte(e.data)}, m.options())
	require.NoError(rt, err)
	m.add(rt, e, out.Position)
}

func (m *amendModel) add(rt *rapid.T, e *amendEntry, at storage.Position) {
	if n := len(m.log); n > 0 {
		require.True(rt, at.After(m.log[n-1].pos))
	}
	e.pos = at
	m.log = append(m.log, e)
	m.trim()
}

func (t amendTest) modelAmend(rt *rapid.T, m *amendModel) {
	if len(m.log) == 0 || len(m.log) > storage.FillEvents {
		return
	}
	m.trim()
	// Newer ones more often, which are still there.
	target := m.log[len(m.log)-1-min(rapid.IntRange(0, 9).Draw(rt, "back"), len(m.log)-1)]
	kind := rapid.SampledFrom([]storage.AmendKind{storage.Edit, storage.Edit, storage.Extend, storage.Extend, storage.Retract}).Draw(rt, "kind")
	version := target.version
	if target.kind == 0 && rapid.IntRange(0, 4).Draw(rt, "stale") == 0 {
		version += uint64(rapid.IntRange(1, 2).Draw(rt, "off by"))
	}
	data := ""
	if kind != storage.Retract {
		data = rapid.StringN(0, 3, -1).Draw(rt, "data")
	}
	a := amendment(m.ch, kind, target.id, version, data, m.options())
	a.Event.ID = "amendment " + strconv.Itoa(len(m.log))
	a.Options.IdempotencyKey = rapid.SampledFrom([]string{"", "", "k", "l"}).Draw(rt, "key")
	out, err := t.amender.Amend(t.ctx, m.ch, a)
	if first, used := m.keys[a.Options.IdempotencyKey]; used {
		require.NoError(rt, err)
		require.Equal(rt, storage.Appended{Position: m.log[first].pos, Duplicate: true}, out.Appended)
		if out.Version != 0 {
			require.Equal(rt, m.log[first].version, out.Version)
		}
		return
	}
	switch {
	case target.kind != 0 || target.dropped:
		require.ErrorIs(rt, err, storage.ErrNoTarget)
		return
	case target.retracted:
		require.ErrorIs(rt, err, storage.ErrRetracted)
		return
	case version != target.version:
		require.ErrorIs(rt, err, storage.ErrStaleVersion)
		return
	}
	require.NoError(rt, err)
	require.False(rt, out.Duplicate)
	target.version++
	require.Equal(rt, target.version, out.Version)
	switch kind {
	case storage.Edit:
		target.data = data
	case storage.Extend:
		target.data += data
	case storage.Retract:
		target.retracted, target.data, target.published = true, "", ""
		for _, e := range m.log {
			if e.target == target {
				e.retracted, e.published = true, ""
			}
		}
	}
	if a.Options.IdempotencyKey != "" {
		m.keys[a.Options.IdempotencyKey] = len(m.log)
	}
	m.add(rt, &amendEntry{id: a.Event.ID, kind: kind, target: target, published: "log:" + data, version: target.version, at: m.now}, out.Position)
}

// show is showEvent of what a read has to return.
func (e *amendEntry) show(current bool) string {
	ev := storage.Event{Data: []byte(e.published), Amends: e.kind, Retracted: e.retracted}
	if e.kind != 0 {
		ev.Target, ev.Version = e.target.id, e.version
	}
	if current {
		ev.Data = []byte(e.data)
	}
	if current || e.kind == 0 && e.retracted {
		ev.Version = e.version
	}
	return showEvent(ev)
}

func (t amendTest) modelReadAmended(rt *rapid.T, m *amendModel) {
	m.trim()
	opts := storage.ReadOptions{
		Current:   rapid.IntRange(0, 2).Draw(rt, "current") > 0,
		Backward:  rapid.Bool().Draw(rt, "backward"),
		Inclusive: rapid.Bool().Draw(rt, "inclusive"),
		MaxEvents: rapid.IntRange(0, 4).Draw(rt, "limit"),
	}
	if len(m.log) > 0 && rapid.Bool().Draw(rt, "from") {
		opts.From = rapid.SampledFrom(m.log).Draw(rt, "position").pos
	}
	page, err := t.store.Read(t.ctx, m.ch, opts)
	// An amendment may be dropped with the events before it: behind loose all has to be
	// there.
	loose := 0
	for i, e := range m.log {
		if e.kind == 0 && !e.dropped {
			break
		}
		loose = i + 1
	}
	var want []string
	mustGap, mayGap := false, false
	for i, e := range m.log {
		after := e.pos.Compare(opts.From)
		in := opts.From.IsZero() || !opts.Backward && after > 0 || opts.Backward && (after < 0 || after == 0 && opts.Inclusive)
		if !in || opts.Current && e.kind != 0 {
			if in && i < loose {
				mayGap = true
			}
			continue
		}
		mustGap = mustGap || e.dropped
		mayGap = mayGap || i < loose
		if !e.dropped && (i >= loose || opts.Current) {
			want = append(want, e.show(opts.Current))
		}
	}
	if opts.Backward || opts.From.IsZero() {
		mustGap, mayGap = false, false
	}
	if err != nil {
		require.True(rt, errors.Is(err, storage.ErrGap) && (mustGap || mayGap), "the error of a read with %+v: %v", opts, err)
		return
	}
	require.False(rt, mustGap, "a read across a gap with %+v", opts)
	if len(m.log) > 0 && len(want) > 0 {
		require.Equal(rt, m.log[len(m.log)-1].pos, page.Latest)
	}
	got := shown(page.Events)
	if opts.Backward {
		slices.Reverse(want)
	}
	if opts.MaxEvents > 0 && len(want) > opts.MaxEvents {
		require.True(rt, page.More)
		want = want[:opts.MaxEvents]
	}
	if !opts.Current && loose > 0 {
		// Amendments before the oldest event may be there or not.
		if opts.Backward {
			require.GreaterOrEqual(rt, len(got), len(want))
			got = got[:len(want)]
		} else {
			return
		}
	}
	require.Equal(rt, append([]string{}, want...), got, "a read with %+v", opts)
}
