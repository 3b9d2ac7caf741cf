package sqlite

import (
	"context"
	"slices"
	"time"

	"github.com/carillon-rt/carillon/storage"
)

// Append implements storage.History. It returns when the event is on the disk.
func (st *Store) Append(ctx context.Context, ch storage.ChannelID, ev *storage.Event, opts storage.AppendOptions) (storage.Appended, error) {
	a := st.appends.Get().(*oneAppend)
	own := *ev // the writer may still be at work with it when the caller has gone
	a.batch[0] = storage.AppendRequest{Channel: ch, Event: &own, Options: opts}
	a.bytes = len(ev.Data) + eventOverhead
	err := st.write(ctx, &a.task)
	if a.left {
		return storage.Appended{}, err // likewise
	}
	out := a.results[0]
	st.appends.Put(a.clear())
	if err == nil {
		err = out.Err
	}
	if err != nil {
		return storage.Appended{}, err
	}
	return out.Appended, nil
}

// oneAppend is the task of appending one event. It is used again and again.
type oneAppend struct {
	appendTask
	batch   [1]storage.AppendRequest
	results [1]storage.AppendResult
}

func (st *Store) newAppend() any {
	a := new(oneAppend)
	a.init(st, a.batch[:], a.results[:])
	return a
}

// clear lets go of what was appended.
func (a *oneAppend) clear() *oneAppend {
	a.state.Store(waiting)
	a.batch[0], a.results[0] = storage.AppendRequest{}, storage.AppendResult{}
	clear(a.commits)
	return a
}

// AppendBatch implements storage.History. The events of a batch are written in one
// transaction, unless that fails.
func (st *Store) AppendBatch(ctx context.Context, batch []storage.AppendRequest) []storage.AppendResult {
	results := make([]storage.AppendResult, len(batch))
	for start := 0; start < len(batch); start += groupEvents {
		end := min(start+groupEvents, len(batch))
		st.appendAll(ctx, batch[start:end], results[start:end])
	}
	return results
}

// appendAll has the writer append events.
func (st *Store) appendAll(ctx context.Context, batch []storage.AppendRequest, results []storage.AppendResult) {
	var t appendTask
	// Its own, since the writer may still be at work when the caller has gone.
	requests, events := slices.Clone(batch), make([]storage.Event, len(batch))
	for i := range requests {
		events[i] = *batch[i].Event
		requests[i].Event = &events[i]
		t.bytes += len(events[i].Data) + eventOverhead
	}
	t.init(st, requests, make([]storage.AppendResult, len(batch)))
	if err := st.write(ctx, &t.task); err != nil {
		for i := range results {
			results[i] = storage.AppendResult{Err: err}
		}
		return
	}
	copy(results, t.outcomes)
}

// appendTask is the task of appending events, which are its own.
type appendTask struct {
	task
	requests []storage.AppendRequest
	outcomes []storage.AppendResult
}

func (t *appendTask) init(st *Store, requests []storage.AppendRequest, outcomes []storage.AppendResult) {
	t.requests, t.outcomes, t.events = requests, outcomes, len(requests)
	t.do = func(w *writer) error {
		now := st.config.now()
		for i := range t.requests {
			if err := w.append(&t.task, &t.requests[i], &t.outcomes[i], now); err != nil {
				return err
			}
		}
		return nil
	}
}

// eventOverhead is about what an event takes in the queue besides its data.
const eventOverhead = 256

// append appends one event of a task, and gives it its position.
func (w *writer) append(t *task, r *storage.AppendRequest, result *storage.AppendResult, now time.Time) error {
	c, err := w.channel(r.Channel)
	if err != nil {
		return err
	}
	*result, err = w.session.append(c, r.Event, &r.Options, now)
	if err == nil && result.Err == nil && !result.Duplicate {
		w.keeper.grown(c, now.UnixMilli())
	}
	if err != nil || result.Err != nil || result.Duplicate || !w.store.watchers.wanted() {
		return err
	}
	r.Event.Channel, r.Event.Position, r.Event.Prev = r.Channel.Name, result.Position, result.Prev
	t.commits = append(t.commits, storage.Commit{Channel: r.Channel, Latest: result.Position, Event: r.Event})
	return nil
}

// Delete implements storage.History. The events leave the file in the background.
func (st *Store) Delete(ctx context.Context, ch storage.ChannelID) error {
	return st.write(ctx, &task{events: 1, do: func(w *writer) error {
		c, err := w.channel(ch)
		if err != nil || c.id == 0 {
			return err
		}
		return w.session.clear(c, st.config.now().UnixMilli())
	}})
}

// clear forgets the channel's events and keys, but no position.
func (s *session) clear(c *channel, now int64) error {
	c.row, c.gone, c.deleted, c.hidden = c.last, c.last, c.last, c.last
	set := s.use(`UPDATE carillon_channel SET last = ?1, gone = ?1, deleted = ?1, hidden = ?1, used = ?2 WHERE id = ?3`)
	set.int(c.last)
	set.int(now)
	set.int(c.id)
	if err := set.exec(); err != nil || !c.named {
		return err
	}
	return s.unname(c)
}

// Capabilities implements storage.Capable.
func (st *Store) Capabilities() storage.Capabilities {
	return storage.Capabilities{ContiguousOffsets: true, Durable: true, Transactions: true, Shared: true, PromptAppends: true}
}
