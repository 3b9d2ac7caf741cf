package storagetest

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/carillon-rt/carillon/storage"
)

// Engine is a storage.History for tests of what is built on one. It keeps what it
// has in memory, and does on demand what engines do at times: it is opened anew,
// restored to an older copy, and has holes in its offsets. It keeps every promise
// of storage.History, and is meant to be read, not to be fast. All methods are safe
// for concurrent use.
type Engine struct {
	holes bool

	mu       sync.Mutex
	data     engineData                     // guarded by mu
	clock    storage.Epoch                  // guarded by mu: the newest epoch there ever was; no restore turns it back
	offset   uint64                         // guarded by mu: the last given, with holes
	watchers map[*func(storage.Commit)]bool // guarded by mu
}

// engineData is what a copy of an engine holds.
type engineData struct {
	epochs   []storage.Epoch // oldest first; the last is the current one
	channels map[storage.ChannelID]engineChannel
}

type engineChannel struct {
	given  []storage.Position // all that there were, oldest first
	events []engineEvent      // the last of them, as far as they are kept
	keep   storage.Retention
	keys   map[string]engineKey
}

type engineEvent struct {
	storage.Event
	at     time.Time
	hidden bool // kept for fills only
}

type engineKey struct {
	first storage.Position
	hash  [32]byte
	until time.Time
}

// NewEngine returns an empty engine. With holes its offsets count the events of
// all channels together, and leave some out.
func NewEngine(holes bool) *Engine {
	e := &Engine{
		holes:    holes,
		data:     engineData{channels: make(map[storage.ChannelID]engineChannel)},
		watchers: make(map[*func(storage.Commit)]bool),
	}
	e.open(storage.Epoch{})
	return e
}

// Capabilities implements storage.Capable.
func (e *Engine) Capabilities() storage.Capabilities {
	return storage.Capabilities{ContiguousOffsets: !e.holes, Durable: true, Shared: true}
}

// Restart closes and opens the engine: an epoch begins, and nothing is lost.
func (e *Engine) Restart() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.open(storage.Epoch{})
}

// Copy is what an engine held at a time.
type Copy struct{ data engineData }

// Copy returns a copy of all that the engine holds.
func (e *Engine) Copy() Copy {
	e.mu.Lock()
	defer e.mu.Unlock()
	return Copy{e.data.clone()}
}

// Restore closes the engine and opens it with a copy of what it held: events appended
// since the copy was made are lost.
func (e *Engine) Restore(c Copy) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.data = c.data.clone()
	e.open(storage.Epoch{})
}

func (d engineData) clone() engineData {
	c := engineData{epochs: slices.Clone(d.epochs), channels: maps.Clone(d.channels)}
	for id, ch := range c.channels {
		ch.given, ch.events, ch.keys = slices.Clone(ch.given), slices.Clone(ch.events), maps.Clone(ch.keys)
		c.channels[id] = ch
	}
	return c
}

// open starts an epoch that is newer than floor. The caller holds mu.
func (e *Engine) open(floor storage.Epoch) {
	if floor.Compare(e.clock) > 0 {
		e.clock = floor
	}
	e.clock = storage.NewEpoch(e.clock)
	e.data.epochs, e.offset = append(e.data.epochs, e.clock), 0
}

// Append implements storage.History.
func (e *Engine) Append(ctx context.Context, id storage.ChannelID, ev *storage.Event, opts storage.AppendOptions) (storage.Appended, error) {
	if err := ctx.Err(); err != nil {
		return storage.Appended{}, err
	}
	out, ev, err := e.append(id, *ev, opts)
	if err == nil && !out.Duplicate {
		e.tell(storage.Commit{Channel: id, Latest: out.Position, Event: ev})
	}
	return out, err
}

func (e *Engine) append(id storage.ChannelID, ev storage.Event, opts storage.AppendOptions) (storage.Appended, *storage.Event, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now, ch := time.Now(), e.data.channels[id]
	if used, ok := ch.keys[opts.IdempotencyKey]; ok && now.Before(used.until) {
		if used.hash != opts.RequestHash {
			return storage.Appended{}, nil, &storage.KeyReusedError{Channel: id, Key: opts.IdempotencyKey, Position: used.first}
		}
		return storage.Appended{Position: used.first, Duplicate: true}, nil, nil
	}
	ch.trim(now)
	if e.latest(&ch).Before(opts.Floor) {
		e.open(opts.Floor.Epoch)
	}
	pos, prev := e.next(&ch)
	ch.given = append(ch.given, pos)
	ch.keep = storage.Retention{Events: max(opts.Retention.Events, 0), Age: max(opts.Retention.Age, 0)}
	ev.Position, ev.Prev = pos, prev
	ch.events = append(ch.events, engineEvent{Event: ev, at: now})
	ch.trim(now)
	if opts.IdempotencyKey != "" {
		window := opts.IdempotencyWindow
		if window <= 0 {
			window = storage.DefaultIdempotencyWindow
		}
		if ch.keys == nil {
			ch.keys = make(map[string]engineKey)
		}
		ch.keys[opts.IdempotencyKey] = engineKey{pos, opts.RequestHash, now.Add(window)}
	}
	e.data.channels[id] = ch
	return storage.Appended{Position: pos}, &ev, nil
}

// next returns the next position of a channel, and the one before where that has
// to be named. The caller holds mu.
func (e *Engine) next(ch *engineChannel) (pos, prev storage.Position) {
	before := e.latest(ch)
	pos = storage.Position{Epoch: before.Epoch, Offset: before.Offset + 1}
	if e.holes {
		e.offset += 1 + e.offset%3
		pos.Offset, prev = e.offset, before
	}
	if n := len(ch.given); n > 0 && before.Offset == 0 {
		prev = ch.given[n-1]
	}
	return pos, prev
}

// latest returns the latest position of a channel. The caller holds mu.
func (e *Engine) latest(ch *engineChannel) storage.Position {
	start := storage.Position{Epoch: e.data.epochs[len(e.data.epochs)-1]}
	if n := len(ch.given); n > 0 && ch.given[n-1].After(start) {
		return ch.given[n-1]
	}
	return start
}

// trim hides and removes what is no longer kept.
func (ch *engineChannel) trim(now time.Time) {
	for i := range ch.events {
		ev := &ch.events[i]
		tooOld := ch.keep.Age > 0 && now.Sub(ev.at) >= ch.keep.Age
		ev.hidden = ev.hidden || tooOld || len(ch.events)-i > ch.keep.Events
	}
	n := 0
	for n < len(ch.events) && ch.events[n].hidden {
		spare := ch.keep.Events > 0 && len(ch.events)-n <= storage.FillEvents && now.Sub(ch.events[n].at) < storage.FillAge
		if spare {
			break
		}
		n++
	}
	ch.events = slices.Clone(ch.events[n:])
}

// AppendBatch implements storage.History.
func (e *Engine) AppendBatch(ctx context.Context, batch []storage.AppendRequest) []storage.AppendResult {
	return storage.AppendEach(ctx, e, batch)
}

// Read implements storage.History.
func (e *Engine) Read(ctx context.Context, id storage.ChannelID, opts storage.ReadOptions) (storage.Page, error) {
	if err := ctx.Err(); err != nil {
		return storage.Page{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	ch := e.data.channels[id]
	ch.trim(time.Now())
	e.data.channels[id] = ch
	page := storage.Page{Latest: e.latest(&ch)}
	var kept []storage.Event
	for _, ev := range ch.events {
		if opts.Fill || !ev.hidden {
			kept = append(kept, ev.Event)
		}
	}
	if from := opts.From; !from.IsZero() {
		passed, known := e.passed(&ch, from)
		if !known || !opts.Backward && passed < len(ch.given)-len(kept) {
			gap := &storage.GapError{Channel: id, From: from, Latest: page.Latest}
			if len(kept) > 0 {
				gap.Oldest = kept[0].Position
			}
			return storage.Page{}, gap
		}
		kept = slices.DeleteFunc(kept, func(ev storage.Event) bool {
			after := ev.Position.Compare(from)
			if opts.Backward {
				return after > 0 || after == 0 && !opts.Inclusive
			}
			return after <= 0
		})
	}
	if opts.Backward {
		slices.Reverse(kept)
	}
	bytes := 0
	for i := range kept {
		bytes += len(kept[i].Data)
		if opts.MaxEvents > 0 && i == opts.MaxEvents || opts.MaxBytes > 0 && i > 0 && bytes > opts.MaxBytes {
			kept, page.More = kept[:i], true
			break
		}
	}
	page.Events = kept
	return page, nil
}

// passed returns how many events of the channel stand up to a position, and
// whether it is one that the engine can continue from. The caller holds mu.
func (e *Engine) passed(ch *engineChannel, p storage.Position) (int, bool) {
	n, given := slices.BinarySearchFunc(ch.given, p, storage.Position.Compare)
	if given {
		return n + 1, true
	}
	return n, p.Offset == 0 && slices.Contains(e.data.epochs, p.Epoch)
}

// Latest implements storage.History.
func (e *Engine) Latest(ctx context.Context, channels []storage.ChannelID) ([]storage.Position, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	all := make([]storage.Position, len(channels))
	for i, id := range channels {
		ch := e.data.channels[id]
		all[i] = e.latest(&ch)
	}
	return all, nil
}

// Delete implements storage.History.
func (e *Engine) Delete(ctx context.Context, id storage.ChannelID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if ch, ok := e.data.channels[id]; ok {
		ch.events, ch.keys = nil, nil
		e.data.channels[id] = ch
	}
	return nil
}

// Watch implements storage.Watch. It notifies of every append once, with the event.
func (e *Engine) Watch(ctx context.Context, notify func(storage.Commit)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e.mu.Lock()
	e.watchers[&notify] = true
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		delete(e.watchers, &notify)
		e.mu.Unlock()
	}()
	notify(storage.Commit{})
	<-ctx.Done()
	return ctx.Err()
}

func (e *Engine) tell(c storage.Commit) {
	e.mu.Lock()
	watchers := slices.Collect(maps.Keys(e.watchers))
	e.mu.Unlock()
	for _, notify := range watchers {
		(*notify)(c)
	}
}
