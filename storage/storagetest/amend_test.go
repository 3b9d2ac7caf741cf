package storagetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/memory"
)

// brokenAmend is a memory store that does what its fields say.
type brokenAmend struct {
	*memory.Store
	before func(a *storage.Amendment)
	after  func(out *storage.Amended, err *error)
	page   func(opts storage.ReadOptions, page *storage.Page, err *error)
	target func(ev *storage.Event, err *error)
}

func (b *brokenAmend) Amend(ctx context.Context, ch storage.ChannelID, a storage.Amendment) (storage.Amended, error) {
	if b.before != nil {
		b.before(&a)
	}
	out, err := b.Store.Amend(ctx, ch, a)
	if b.after != nil {
		b.after(&out, &err)
	}
	return out, err
}

func (b *brokenAmend) Read(ctx context.Context, ch storage.ChannelID, opts storage.ReadOptions) (storage.Page, error) {
	page, err := b.Store.Read(ctx, ch, opts)
	if b.page != nil {
		b.page(opts, &page, &err)
	}
	return page, err
}

func (b *brokenAmend) Target(ctx context.Context, ch storage.ChannelID, id string) (storage.Event, error) {
	ev, err := b.Store.Target(ctx, ch, id)
	if b.target != nil {
		b.target(&ev, &err)
	}
	return ev, err
}

func TestBrokenAmendIsCaught(t *testing.T) {
	for name, broken := range map[string]brokenAmend{
		"AmendEdits":      {page: func(_ storage.ReadOptions, page *storage.Page, _ *error) { page.Latest.Offset++ }, after: func(out *storage.Amended, _ *error) { out.Version++ }},
		"AmendExtends":    {before: func(a *storage.Amendment) { a.Kind = min(a.Kind, storage.Edit) }},
		"AmendRetracts":   {before: func(a *storage.Amendment) { a.Kind = storage.Edit }},
		"RetractedIsGone": {before: func(a *storage.Amendment) { a.Event.Target = "" }},
		"AmendKeepsFields": {target: func(ev *storage.Event, _ *error) {
			ev.UserID = ""
		}},
		"AmendStaleVersion": {after: func(_ *storage.Amended, err *error) {
			if errors.Is(*err, storage.ErrStaleVersion) {
				*err = storage.ErrStaleVersion
			}
		}},
		"AmendOperationIsDoneOnce": {before: func(a *storage.Amendment) { a.Options.IdempotencyKey = "" }},
		"AmendWithoutTarget":       {target: func(_ *storage.Event, err *error) { *err = nil }},
		"AmendmentsAreNoEvents": {page: func(opts storage.ReadOptions, page *storage.Page, _ *error) {
			if opts.Current {
				page.Events = page.Events[:min(2, len(page.Events))]
			}
		}},
		"AmendmentsAreBounded": {page: func(opts storage.ReadOptions, page *storage.Page, err *error) {
			if !opts.Current {
				page.Events, *err = nil, nil
			}
		}},
		"AmendExpiredTarget": {before: func(a *storage.Amendment) { a.Options.Retention.Age = 0 }},
		"AmendReadCurrent": {page: func(opts storage.ReadOptions, page *storage.Page, _ *error) {
			if opts.Backward && opts.MaxEvents > 1 {
				page.More = false
			}
		}},
		"AmendFloor":           {before: func(a *storage.Amendment) { a.Options.Floor = storage.Position{} }},
		"AmendAfterDelete":     {target: func(_ *storage.Event, err *error) { *err = nil }},
		"ConcurrentOperations": {before: func(a *storage.Amendment) { a.Options.IdempotencyKey = "" }},
	} {
		t.Run(name, func(t *testing.T) {
			requireCaught(t, amendChecks(), name, func(tb testing.TB, c clock) *historyTest {
				broken.Store = memory.New()
				return newHistoryTest(tb, &broken, c)
			})
		})
	}
}

func TestAmendChecksPassOverAStoreThatAmendsNothing(t *testing.T) {
	bare := struct{ storage.History }{memory.New()}
	faults := NewFaults(bare, func(Call) Fault { return Fault{} })
	for _, store := range []storage.History{bare, faults} {
		for _, check := range amendChecks() {
			check.run(newHistoryTest(t, store, clock{advance: func(time.Duration) {}}))
		}
	}
}

func TestFaultsOfAmendments(t *testing.T) {
	broken := errors.New("broken")
	ch := storage.ChannelID{App: "app", Name: "room"}
	for name, c := range map[string]struct {
		fault Fault
		err   error
		want  string
	}{
		"none":      {want: "two/1"},
		"not taken": {fault: Fault{Err: broken}, err: broken, want: "one/0"},
		"taken":     {fault: Fault{Err: broken, Taken: true}, err: broken, want: "two/1"},
	} {
		t.Run(name, func(t *testing.T) {
			f := NewFaults(memory.New(), func(call Call) Fault {
				if call.Op == OpAmend {
					assert.Equal(t, "a", call.Event.Target)
					return c.fault
				}
				return Fault{}
			})
			_, err := f.Append(t.Context(), ch, &storage.Event{ID: "a", Data: []byte("one")}, keep(10))
			require.NoError(t, err)
			_, err = f.Amend(t.Context(), ch, amendment(ch, storage.Edit, "a", 0, "two", keep(10)))
			require.ErrorIs(t, err, c.err)
			ev, err := f.Target(t.Context(), ch, "a")
			require.NoError(t, err)
			assert.Equal(t, c.want, showEvent(ev))
		})
	}
}
