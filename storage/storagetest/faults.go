package storagetest

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-rt/carillon/storage"
)

// Op is a kind of call.
type Op int

// The methods of a History, an Amend and a Search, and the notifications of a Watch.
const (
	OpAppend Op = iota + 1 // one event, of a batch as well
	OpRead
	OpLatest
	OpDelete
	OpNotify
	OpTarget // of storage.Amend
	OpAmend
	OpSearch
)

// Call is one call of a store that may be made to fail.
type Call struct {
	Op Op
	// Channel is the first one of several.
	Channel storage.ChannelID
	// Event is that of an append or an amendment, or the one notified of, if any. It is
	// not to be changed.
	Event *storage.Event
	// N counts the calls of the same Op, from 1.
	N int
}

// Fault says what happens to a call. The zero Fault lets it pass.
type Fault struct {
	// Wait is how long the call takes to reach the store.
	Wait time.Duration
	// Err is returned without calling the store, unless Taken or Late says otherwise.
	Err error
	// Taken makes the call reach the store before Err is returned.
	Taken bool
	// Late makes the call reach the store so long after Err was returned.
	Late time.Duration
	// Hold is how long the answer, or Err, takes to return. It may be out of date by
	// then.
	Hold time.Duration
	// Hang returns only when the caller's context is done, with its error. The store is
	// called only with Taken.
	Hang bool
	// Drop loses a notification, and Repeat delivers it so many times more.
	Drop   bool
	Repeat int
}

// Faults is a History that fails where a test says so, and passes all other calls to
// another History. All methods are safe for concurrent use. It has the other's
// capabilities, but for PromptAppends, and implements storage.Watch. It implements storage.Amend and
// storage.Search as well, with errors that wrap errors.ErrUnsupported if the other does
// not.
type Faults struct {
	history storage.History
	decide  func(Call) Fault

	mu    sync.Mutex
	calls map[Op]int // guarded by mu

	late sync.WaitGroup
}

// NewFaults returns a History over h that calls decide for every call. decide is called
// concurrently.
func NewFaults(h storage.History, decide func(Call) Fault) *Faults {
	return &Faults{history: h, decide: decide, calls: make(map[Op]int)}
}

// NewSlowReads returns a History over h whose reads take a second to reach it if they begin
// while slow is set.
func NewSlowReads(h storage.History, slow *atomic.Bool) *Faults {
	return NewFaults(h, func(c Call) (f Fault) {
		if slow.Load() && c.Op == OpRead {
			f.Wait = time.Second
		}
		return f
	})
}

// Close waits for calls with Fault.Late that have not reached the store yet. No call
// may follow.
func (f *Faults) Close() { f.late.Wait() }

// Capabilities implements storage.Capable.
func (f *Faults) Capabilities() storage.Capabilities {
	caps := storage.CapabilitiesOf(f.history)
	caps.PromptAppends = false // a fault may be that it hangs
	return caps
}

func (f *Faults) fault(c Call) Fault {
	f.mu.Lock()
	f.calls[c.Op]++
	c.N = f.calls[c.Op]
	f.mu.Unlock()
	return f.decide(c)
}

// do makes a call fail as told. call asks the store, and may be told to do so with
// a context that never ends.
func (f *Faults) do(ctx context.Context, fault Fault, call func(context.Context) error) error {
	if err := pause(ctx, fault.Wait); err != nil {
		return err
	}
	var err error
	if fault.Err == nil && !fault.Hang || fault.Taken {
		err = call(ctx)
	}
	if fault.Late > 0 && !fault.Taken && (fault.Err != nil || fault.Hang) {
		f.late.Go(func() {
			time.Sleep(fault.Late)
			_ = call(context.WithoutCancel(ctx))
		})
	}
	if fault.Hang {
		<-ctx.Done()
		return ctx.Err()
	}
	if err := pause(ctx, fault.Hold); err != nil {
		return err
	}
	if fault.Err != nil {
		return fault.Err
	}
	return err
}

// pause waits for d, or until ctx is done.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Append implements storage.History.
func (f *Faults) Append(ctx context.Context, ch storage.ChannelID, ev *storage.Event, opts storage.AppendOptions) (storage.Appended, error) {
	return f.append(ctx, f.fault(Call{Op: OpAppend, Channel: ch, Event: ev}), ch, ev, opts)
}

func (f *Faults) append(ctx context.Context, fault Fault, ch storage.ChannelID, ev *storage.Event, opts storage.AppendOptions) (storage.Appended, error) {
	own := *ev // which may be read late
	var out storage.Appended
	err := f.do(ctx, fault, func(ctx context.Context) (err error) {
		got, err := f.history.Append(ctx, ch, &own, opts)
		if err == nil {
			out = got
		}
		return err
	})
	if err != nil {
		return storage.Appended{}, err
	}
	return out, nil
}

// AppendBatch implements storage.History. Each event of a batch meets its own
// fault, in the order of the batch; those in between that meet none go to the store
// as one.
func (f *Faults) AppendBatch(ctx context.Context, batch []storage.AppendRequest) []storage.AppendResult {
	results := make([]storage.AppendResult, 0, len(batch))
	var clean []storage.AppendRequest
	for _, r := range batch {
		fault := f.fault(Call{Op: OpAppend, Channel: r.Channel, Event: r.Event})
		if fault == (Fault{}) {
			clean = append(clean, r)
			continue
		}
		results, clean = append(results, f.history.AppendBatch(ctx, clean)...), nil
		out, err := f.append(ctx, fault, r.Channel, r.Event, r.Options)
		results = append(results, storage.AppendResult{Appended: out, Err: err})
	}
	return append(results, f.history.AppendBatch(ctx, clean)...)
}

// Read implements storage.History.
func (f *Faults) Read(ctx context.Context, ch storage.ChannelID, opts storage.ReadOptions) (page storage.Page, err error) {
	err = f.do(ctx, f.fault(Call{Op: OpRead, Channel: ch}), func(ctx context.Context) (err error) {
		page, err = f.history.Read(ctx, ch, opts)
		return err
	})
	if err != nil {
		return storage.Page{}, err
	}
	return page, nil
}

// Latest implements storage.History.
func (f *Faults) Latest(ctx context.Context, channels []storage.ChannelID) (latest []storage.Position, err error) {
	call := Call{Op: OpLatest}
	if len(channels) > 0 {
		call.Channel = channels[0]
	}
	err = f.do(ctx, f.fault(call), func(ctx context.Context) (err error) {
		latest, err = f.history.Latest(ctx, channels)
		return err
	})
	if err != nil {
		return nil, err
	}
	return latest, nil
}

// Delete implements storage.History.
func (f *Faults) Delete(ctx context.Context, ch storage.ChannelID) error {
	return f.do(ctx, f.fault(Call{Op: OpDelete, Channel: ch}), func(ctx context.Context) error {
		return f.history.Delete(ctx, ch)
	})
}

// Watch implements storage.Watch. A notification with Wait or Hold comes so much later,
// and others overtake it. Over a History without storage.Watch, it notifies once that
// it has begun, and then of nothing.
func (f *Faults) Watch(ctx context.Context, notify func(storage.Commit)) error {
	var pending sync.WaitGroup
	defer pending.Wait()
	faulty := func(c storage.Commit) {
		fault := f.fault(Call{Op: OpNotify, Channel: c.Channel, Event: c.Event})
		if fault.Drop {
			return
		}
		tell := func() {
			for range 1 + fault.Repeat {
				notify(c)
			}
		}
		if late := fault.Wait + fault.Hold; late > 0 {
			pending.Go(func() {
				if pause(ctx, late) == nil {
					tell()
				}
			})
			return
		}
		tell()
	}
	if w, ok := f.history.(storage.Watch); ok {
		return w.Watch(ctx, faulty)
	}
	faulty(storage.Commit{})
	<-ctx.Done()
	return ctx.Err()
}
