package storagetest

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/memory"
)

// brokenHistory is a memory store that does what its fields say.
type brokenHistory struct {
	storage.History
	before   func(ctx *context.Context, ch *storage.ChannelID, opts *storage.AppendOptions)
	after    func(*storage.Appended)
	reading  func(opts *storage.ReadOptions)
	page     func(opts storage.ReadOptions, page *storage.Page, err *error)
	batch    func(batch []storage.AppendRequest)
	keepsAll bool
}

func (b *brokenHistory) Append(ctx context.Context, ch storage.ChannelID, ev *storage.Event, opts storage.AppendOptions) (storage.Appended, error) {
	if b.before != nil {
		b.before(&ctx, &ch, &opts)
	}
	out, err := b.History.Append(ctx, ch, ev, opts)
	if b.after != nil {
		b.after(&out)
	}
	return out, err
}

func (b *brokenHistory) Read(ctx context.Context, ch storage.ChannelID, opts storage.ReadOptions) (storage.Page, error) {
	if b.reading != nil {
		b.reading(&opts)
	}
	page, err := b.History.Read(ctx, ch, opts)
	if b.page != nil {
		b.page(opts, &page, &err)
	}
	return page, err
}

func (b *brokenHistory) AppendBatch(ctx context.Context, batch []storage.AppendRequest) []storage.AppendResult {
	if b.batch != nil {
		b.batch(batch)
	}
	return b.History.AppendBatch(ctx, batch)
}

// Watch tells of the beginning, and of nothing after.
func (b *brokenHistory) Watch(ctx context.Context, notify func(storage.Commit)) error {
	notify(storage.Commit{})
	<-ctx.Done()
	return ctx.Err()
}

func (b *brokenHistory) Delete(ctx context.Context, ch storage.ChannelID) error {
	if b.keepsAll {
		return ctx.Err()
	}
	return b.History.Delete(ctx, ch)
}

func TestBrokenHistoryIsCaught(t *testing.T) {
	for name, broken := range map[string]brokenHistory{
		"PositionsRise":     {after: func(out *storage.Appended) { out.Position.Offset = min(out.Position.Offset, 5) }},
		"ConcurrentAppends": {after: func(out *storage.Appended) { out.Position.Offset = 1 }},
		"KeyIsUsedOnce": {before: func(_ *context.Context, _ *storage.ChannelID, opts *storage.AppendOptions) {
			opts.IdempotencyKey = ""
		}},
		"EveryKeyIsRemembered": {before: func(_ *context.Context, _ *storage.ChannelID, opts *storage.AppendOptions) {
			opts.IdempotencyKey = opts.IdempotencyKey[:min(len(opts.IdempotencyKey), 1)]
		}},
		"KeyIsOfItsRequest": {before: func(_ *context.Context, _ *storage.ChannelID, opts *storage.AppendOptions) {
			opts.RequestHash = [32]byte{}
		}},
		"ConcurrentRequestsWithOneKey": {before: func(_ *context.Context, _ *storage.ChannelID, opts *storage.AppendOptions) {
			opts.RequestHash = [32]byte{}
		}},
		"KeyIsForgottenAfterItsWindow": {before: func(_ *context.Context, _ *storage.ChannelID, opts *storage.AppendOptions) {
			opts.IdempotencyWindow = 0
		}},
		"RetentionByAge": {before: func(_ *context.Context, _ *storage.ChannelID, opts *storage.AppendOptions) {
			opts.Retention.Age = 0
		}},
		"RetentionByCount": {before: func(_ *context.Context, _ *storage.ChannelID, opts *storage.AppendOptions) {
			opts.Retention.Events++
		}},
		"ChannelsAndAppsAreApart": {before: func(_ *context.Context, ch *storage.ChannelID, _ *storage.AppendOptions) {
			*ch = storage.ChannelID{Name: ch.String()}
		}},
		"DoneContext": {before: func(ctx *context.Context, _ *storage.ChannelID, _ *storage.AppendOptions) {
			*ctx = context.WithoutCancel(*ctx)
		}},
		"GapWhereTrimmed": {page: func(_ storage.ReadOptions, _ *storage.Page, err *error) { *err = nil }},
		"ReadPageByPage": {page: func(opts storage.ReadOptions, page *storage.Page, _ *error) {
			page.More = len(page.Events) == opts.MaxEvents
			if n := len(page.Events); n > 1 {
				page.Events = page.Events[:n-1]
			}
		}},
		"DeleteForgetsEvents": {keepsAll: true},
		"ReadLongHistory": {page: func(_ storage.ReadOptions, page *storage.Page, _ *error) {
			page.Events = page.Events[:min(len(page.Events), 1000)]
		}},
		"ReadersAreToldWhatIsTrimmed": {page: func(opts storage.ReadOptions, page *storage.Page, _ *error) {
			if len(page.Events) > 1 {
				page.Events = page.Events[1:]
			}
		}},
		"FillIsKeptBeyondTheRetention": {reading: func(opts *storage.ReadOptions) { opts.Fill = false }},
		"ReadIsBoundedInBytes":         {reading: func(opts *storage.ReadOptions) { opts.MaxBytes = 0 }},
		"ReadInclusive":                {reading: func(opts *storage.ReadOptions) { opts.Inclusive = false }},
		"FloorAboveLatestStartsEpoch": {before: func(_ *context.Context, _ *storage.ChannelID, opts *storage.AppendOptions) {
			opts.Floor = storage.Position{}
		}},
		"FloorOfNewerEpoch": {before: func(_ *context.Context, _ *storage.ChannelID, opts *storage.AppendOptions) {
			opts.Floor.Epoch = storage.Epoch{}
		}},
		"FloorThatIsReached": {before: func(_ *context.Context, _ *storage.ChannelID, opts *storage.AppendOptions) {
			opts.Floor.Offset++
		}},
		"EpochsGoOnWhereTheyEnded": {page: func(_ storage.ReadOptions, page *storage.Page, _ *error) {
			for i := range page.Events {
				page.Events[i].Prev = storage.Position{}
			}
		}},
		"BatchKeepsItsOrder": {batch: func(batch []storage.AppendRequest) { slices.Reverse(batch) }},
		"BatchFailsItemByItem": {batch: func(batch []storage.AppendRequest) {
			for i := range batch {
				batch[i].Options.IdempotencyKey = ""
			}
		}},
		"ConcurrentBatches":   {batch: func(batch []storage.AppendRequest) { slices.Reverse(batch) }},
		"WatchTellsOfAppends": {},
		"ConcurrentDeletes":   {page: func(_ storage.ReadOptions, page *storage.Page, _ *error) { page.Latest.Offset++ }},
	} {
		t.Run(name, func(t *testing.T) {
			requireCaught(t, historyChecks(), name, func(tb testing.TB, c clock) *historyTest {
				broken.History = memory.New()
				return newHistoryTest(tb, &broken, c)
			})
		})
	}
}

// heldUp is a memory store whose appends can be held up, and say that they are prompt.
type heldUp struct {
	*memory.Store
	lies bool
	held atomic.Pointer[chan struct{}]
}

func (h *heldUp) Capabilities() storage.Capabilities {
	caps := h.Store.Capabilities()
	caps.PromptAppends = true
	return caps
}

func (h *heldUp) Append(ctx context.Context, ch storage.ChannelID, ev *storage.Event, opts storage.AppendOptions) (storage.Appended, error) {
	if held := h.held.Load(); held != nil {
		ended := ctx.Done()
		if h.lies {
			ended = nil
		}
		select {
		case <-*held:
		case <-ended:
			return storage.Appended{}, ctx.Err()
		}
	}
	return h.Store.Append(ctx, ch, ev, opts)
}

func (h *heldUp) stall() (release func()) {
	held := make(chan struct{})
	h.held.Store(&held)
	return func() {
		h.held.Store(nil)
		close(held)
	}
}

func stalled(_ testing.TB, store Store) (release func()) { return store.(*heldUp).stall() }

func TestPromptAppends(t *testing.T) {
	RunHistory(t, func(*testing.T) storage.History { return &heldUp{Store: memory.New()} }, WithSynctest(), WithStall(stalled))
}

func TestAppendsThatAreNotPromptAreCaught(t *testing.T) {
	requireCaught(t, stallChecks(hooks{stall: stalled}), "AppendsEndWithTheirContext", func(tb testing.TB, c clock) *historyTest {
		return newHistoryTest(tb, &heldUp{Store: memory.New(), lies: true}, c)
	})
}
