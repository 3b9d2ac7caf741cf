package linearizability

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/anishathalye/porcupine"

	"github.com/carillon-rt/carillon/storage"
)

// History checks concurrent appends, batches, reads and deletes.
func History(t *testing.T, store storage.History) {
	t.Helper()
	for range rounds {
		ch := storage.ChannelID{App: unique("app"), Name: "room"}
		h := &historyRun{t: t, store: store, ch: ch}
		run(t, historyModel.ToModel(), h.client)
	}
}

type historyRun struct {
	t     testing.TB
	store storage.History
	ch    storage.ChannelID

	mu   sync.Mutex
	seen []storage.Position // guarded by mu
	next int                // guarded by mu
}

type appendCall struct {
	data, key string
	hash      byte
}

type appendAnswer struct {
	storage.Appended
	reused, unknown bool
}

type readCall struct {
	from  storage.Position
	limit int
}

type readAnswer struct {
	events       []kept
	latest       storage.Position
	gap, unknown bool
}

type deleteCall struct{}

// kept is an event in the model; its position is zero as long as nobody has seen it.
type kept struct {
	pos  storage.Position
	data string
}

const retention = 4 // so that something is trimmed

func (h *historyRun) client(client int, random *rand.Rand, r *recorder) {
	switch kind := random.IntN(10); {
	case kind < 5:
		in, ev, opts := h.draw(random)
		r.call(client, in, func() (any, bool) {
			out, err := h.store.Append(h.t.Context(), h.ch, ev, opts)
			return h.appended(out, err)
		})
	case kind < 9:
		in := readCall{from: h.position(random), limit: random.IntN(3)}
		r.call(client, in, func() (any, bool) { return h.read(in) })
	default:
		r.call(client, deleteCall{}, func() (any, bool) {
			err := h.store.Delete(h.t.Context(), h.ch)
			return err != nil, err == nil
		})
	}
}

// draw draws an event whose key may have been used.
func (h *historyRun) draw(random *rand.Rand) (appendCall, *storage.Event, storage.AppendOptions) {
	h.mu.Lock()
	h.next++
	in := appendCall{data: strconv.Itoa(h.next), hash: byte(random.IntN(2))}
	h.mu.Unlock()
	in.key = []string{"", "", "k", "l"}[random.IntN(4)]
	opts := storage.AppendOptions{Retention: storage.Retention{Events: retention}, IdempotencyKey: in.key}
	opts.RequestHash[0] = in.hash
	return in, &storage.Event{ID: in.data, Name: "message", Channel: h.ch.Name, Data: []byte(in.data)}, opts
}

func (h *historyRun) appended(out storage.Appended, err error) (any, bool) {
	switch {
	case err == nil:
		h.saw(out.Position)
		return appendAnswer{Appended: out}, true
	case errors.Is(err, storage.ErrKeyReused):
		return appendAnswer{reused: true}, true
	}
	return appendAnswer{unknown: true}, false
}

func (h *historyRun) read(in readCall) (any, bool) {
	page, err := h.store.Read(h.t.Context(), h.ch, storage.ReadOptions{From: in.from, MaxEvents: in.limit})
	if errors.Is(err, storage.ErrGap) {
		return readAnswer{gap: true}, true
	}
	if err != nil {
		return readAnswer{unknown: true}, true // it has changed nothing
	}
	out := readAnswer{latest: page.Latest}
	for _, ev := range page.Events {
		out.events = append(out.events, kept{ev.Position, string(ev.Data)})
		h.saw(ev.Position)
	}
	return out, true
}

func (h *historyRun) saw(pos storage.Position) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seen = append(h.seen, pos)
}

// position draws a position that somebody has seen, or none.
func (h *historyRun) position(random *rand.Rand) storage.Position {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.seen) == 0 || random.IntN(3) == 0 {
		return storage.Position{}
	}
	return h.seen[random.IntN(len(h.seen))]
}

// historyState is a channel. It is never changed.
type historyState struct {
	events []kept // all there were, oldest first
	gone   int    // how many of them are no longer kept
	keys   []usedKey
}

type usedKey struct {
	key   string
	hash  byte
	event int // its index
}

var historyModel = porcupine.NondeterministicModel{
	Init: func() []any { return []any{historyState{}} },
	Step: func(state, input, output any) []any {
		s := state.(historyState)
		switch in := input.(type) {
		case appendCall:
			return s.append(in, output.(appendAnswer))
		case readCall:
			return s.read(in, output.(readAnswer))
		default:
			deleted := historyState{events: s.events, gone: len(s.events)}
			if failed := output.(bool); failed {
				return []any{s, deleted}
			}
			return []any{deleted}
		}
	},
	Equal: func(a, b any) bool {
		x, y := a.(historyState), b.(historyState)
		return x.gone == y.gone && slices.Equal(x.events, y.events) && slices.Equal(x.keys, y.keys)
	},
	DescribeOperation: describe,
}

func (s historyState) append(in appendCall, out appendAnswer) []any {
	used := slices.IndexFunc(s.keys, func(k usedKey) bool { return k.key == in.key })
	switch {
	case used >= 0 && (out.unknown || out.reused && s.keys[used].hash != in.hash):
		return []any{s}
	case used >= 0:
		if out.reused || !out.Duplicate || s.keys[used].hash != in.hash {
			return nil
		}
		return s.with(s.keys[used].event, kept{pos: out.Position})
	case out.reused || out.Duplicate:
		return nil
	}
	pos := out.Position
	for i := len(s.events) - 1; i >= 0 && !out.unknown; i-- {
		if before := s.events[i].pos; !before.IsZero() {
			if !pos.After(before) {
				return nil
			}
			break
		}
	}
	after := historyState{keys: s.keys}
	after.events = append(slices.Clip(s.events), kept{pos, in.data})
	after.gone = max(s.gone, len(after.events)-retention)
	if in.key != "" {
		after.keys = append(slices.Clip(s.keys), usedKey{in.key, in.hash, len(s.events)})
	}
	if out.unknown {
		return []any{s, after}
	}
	return []any{after}
}

// with returns the state in which the position of an event is known, if that can be
// so.
func (s historyState) with(i int, ev kept) []any {
	if s.events[i].pos == ev.pos {
		return []any{s}
	}
	if !s.events[i].pos.IsZero() {
		return nil
	}
	s.events = slices.Clone(s.events)
	s.events[i].pos = ev.pos
	return []any{s}
}

func (s historyState) read(in readCall, out readAnswer) []any {
	if out.unknown {
		return []any{s}
	}
	first := s.gone
	if !in.from.IsZero() {
		// It was seen before the read began, and so is there.
		at := slices.IndexFunc(s.events, func(ev kept) bool { return ev.pos == in.from })
		if at < 0 {
			return nil
		}
		if at+1 < s.gone {
			if out.gap {
				return []any{s}
			}
			return nil
		}
		first = at + 1
	}
	want := s.events[first:]
	if in.limit > 0 && len(want) > in.limit {
		want = want[:in.limit]
	}
	if out.gap || len(out.events) != len(want) {
		return nil
	}
	for i, ev := range out.events {
		known := s.with(first+i, ev)
		if known == nil || ev.data != want[i].data {
			return nil
		}
		s = known[0].(historyState)
	}
	if n := len(s.events); n > 0 {
		return s.with(n-1, kept{pos: out.latest})
	}
	if out.latest.Offset != 0 {
		return nil
	}
	return []any{s}
}
