package storagetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
)

// alike returns channels that a store may mix up if it joins or compares names
// carelessly.
func alike(app string) []storage.ChannelID {
	return []storage.ChannelID{
		{App: app, Name: "a"}, {App: app, Name: "A"}, {App: app, Name: "a_b"}, {App: app, Name: "axb"},
		{App: app, Name: "a/b"}, {App: app + "/a", Name: "b"},
		{App: app, Name: "a:b"}, {App: app + ":a", Name: "b"},
		{App: app, Name: "a.b"}, {App: app + ".a", Name: "b"},
		{App: app, Name: "private-a@x=1,2;3"}, {App: app + "2", Name: "a"},
	}
}

func checkHistoryIsolation(t *historyTest) {
	channels := alike(t.app)
	latest := make(map[storage.ChannelID]storage.Position)
	for _, round := range []string{"1", "2"} {
		for _, ch := range channels {
			before := t.latest(ch)
			if round == "1" {
				require.Zero(t, before.Offset, "Latest of %v", ch)
			} else {
				require.Equal(t, latest[ch], before, "Latest of %v", ch)
			}
			latest[ch] = t.append(ch, ch.String()+round, keep(100)).Position
		}
	}
	for _, ch := range channels {
		t.requireKept(ch, ch.String()+"1", ch.String()+"2")
	}
	for i, ch := range channels {
		require.NoError(t, t.store.Delete(t.ctx, ch))
		require.Empty(t, t.read(ch, storage.ReadOptions{}).Events, "after Delete of %v", ch)
		for _, other := range channels[i+1:] {
			require.Equal(t, latest[other], t.latest(other), "Latest of %v after Delete of %v", other, ch)
			require.Len(t, t.read(other, storage.ReadOptions{}).Events, 2, "events of %v after Delete of %v", other, ch)
		}
	}
}

func checkConcurrentAppends(t *historyTest) {
	const callers, each = 8, 20
	channels := []storage.ChannelID{t.channel("room"), t.channel("other")}
	starts := []storage.Position{t.latest(channels[0]), t.latest(channels[1])}
	var mu sync.Mutex
	data := make(map[storage.ChannelID]map[storage.Position]string)
	for _, ch := range channels {
		data[ch] = make(map[storage.Position]string)
	}
	require.NoError(t, together(callers, func(i int) error {
		ch := channels[i%len(channels)]
		var last storage.Position
		for n := range each {
			text := fmt.Sprintf("%d/%d", i, n)
			out, err := t.store.Append(t.ctx, ch, event(ch, text), keep(callers*each))
			if err != nil {
				return err
			}
			if !out.Position.After(last) {
				return fmt.Errorf("position %v was given after %v", out.Position, last)
			}
			last = out.Position
			mu.Lock()
			data[ch][out.Position] = text
			mu.Unlock()
		}
		return nil
	}))
	for i, ch := range channels {
		page := t.read(ch, storage.ReadOptions{})
		require.NoError(t, follow(starts[i], page.Events))
		require.Len(t, data[ch], callers*each/len(channels), "different positions")
		require.Equal(t, len(data[ch]), len(page.Events), "events kept")
		for _, ev := range page.Events {
			require.Equal(t, data[ch][ev.Position], string(ev.Data), "an event stands at the position that its append returned")
		}
	}
}

func checkConcurrentReaders(t *historyTest) {
	const writers, readers, each = 2, 3, 50
	ch := t.channel("room")
	start := t.latest(ch)
	t.append(ch, "x", keep(1+writers*each))
	var writing atomic.Int64
	writing.Store(writers)
	require.NoError(t, together(writers+readers, func(i int) error {
		if i < writers {
			defer writing.Add(-1)
			for range each {
				if _, err := t.store.Append(t.ctx, ch, event(ch, "x"), keep(1+writers*each)); err != nil {
					return err
				}
			}
			return nil
		}
		from, seen := start, 0
		for done := false; !done; runtime.Gosched() {
			// Asked before the read, which then sees all events.
			done = writing.Load() == 0
			page, err := t.store.Read(t.ctx, ch, storage.ReadOptions{From: from})
			if err != nil {
				return err
			}
			if err := follow(from, page.Events); err != nil {
				return err
			}
			if n := len(page.Events); n > 0 {
				from, seen = page.Events[n-1].Position, seen+n
			}
			if page.Latest != from {
				return fmt.Errorf("an unlimited page ends at %v and says that the latest is %v", from, page.Latest)
			}
		}
		if want := 1 + writers*each; seen != want {
			return fmt.Errorf("a reader saw %d events; want %d", seen, want)
		}
		return nil
	}))
}

// checkConcurrentTrims has readers who are as fast as what is removed: they get
// what is next, or are told that it is gone.
func checkConcurrentTrims(t *historyTest) {
	const readers, events, kept, unknown = 3, 200, 3, -1
	ch := t.channel("room")
	start := t.latest(ch)
	t.append(ch, "1", keep(kept))
	var written atomic.Bool
	require.NoError(t, together(1+readers, func(i int) error {
		if i == 0 {
			defer written.Store(true)
			for n := 2; n <= events; n++ {
				if _, err := t.store.Append(t.ctx, ch, event(ch, strconv.Itoa(n)), keep(kept)); err != nil {
					return err
				}
			}
			return nil
		}
		from, n := start, 0
		for done := false; !done; runtime.Gosched() {
			done = written.Load()
			page, err := t.store.Read(t.ctx, ch, storage.ReadOptions{From: from})
			var gap *storage.GapError
			if errors.As(err, &gap) {
				from, n, done = gap.Latest, unknown, false
				continue
			}
			if err != nil {
				return err
			}
			if err := follow(from, page.Events); err != nil {
				return err
			}
			for _, ev := range page.Events {
				got, err := strconv.Atoi(string(ev.Data))
				if err != nil || n != unknown && got != n+1 {
					return fmt.Errorf("a reader saw event %q after %d, and no gap", ev.Data, n)
				}
				n, from = got, ev.Position
			}
		}
		return nil
	}))
	t.requireKept(ch, "198", "199", "200")
}

func checkConcurrentDeletes(t *historyTest) {
	const writers, deleters, readers, each = 4, 2, 2, 40
	all := keep(writers*each + 1)
	ch := t.channel("room")
	var mu sync.Mutex
	given, seen := make(map[storage.Position]string), make(map[storage.Position]string)
	require.NoError(t, together(writers+deleters+readers, func(i int) error {
		for n := range each {
			runtime.Gosched()
			switch {
			case i < writers:
				text := fmt.Sprintf("%d/%d", i, n)
				out, err := t.store.Append(t.ctx, ch, event(ch, text), all)
				if err != nil {
					return err
				}
				mu.Lock()
				_, twice := given[out.Position]
				given[out.Position] = text
				mu.Unlock()
				if twice {
					return fmt.Errorf("position %v was given twice", out.Position)
				}
			case i < writers+deleters:
				if err := t.store.Delete(t.ctx, ch); err != nil {
					return err
				}
			default:
				page, err := t.store.Read(t.ctx, ch, storage.ReadOptions{})
				if err != nil {
					return err
				}
				if err := whole(page); err != nil {
					return err
				}
				mu.Lock()
				for _, ev := range page.Events {
					seen[ev.Position] = string(ev.Data)
				}
				mu.Unlock()
			}
		}
		return nil
	}))
	for pos, text := range seen {
		require.Equal(t, given[pos], text, "the append of the event at %v returned another position", pos)
	}
	last := t.append(ch, "last", all).Position
	given[last] = "last"
	page := t.read(ch, storage.ReadOptions{})
	require.Equal(t, last, page.Latest)
	require.NoError(t, whole(page))
	for _, ev := range page.Events {
		require.Equal(t, given[ev.Position], string(ev.Data), "an event stands at the position that its append returned")
	}
}

// whole returns an error unless the page is a stretch of events up to the latest.
func whole(page storage.Page) error {
	if len(page.Events) == 0 {
		return nil
	}
	if last := page.Events[len(page.Events)-1].Position; last != page.Latest {
		return fmt.Errorf("a page ends at %v and says that the latest is %v", last, page.Latest)
	}
	return follow(page.Events[0].Position, page.Events[1:])
}

// doneContexts returns contexts that are done, by the error they end with.
func doneContexts() map[error]context.Context {
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	late, cancel := context.WithDeadline(context.Background(), time.Unix(1, 0))
	cancel()
	return map[error]context.Context{context.Canceled: canceled, context.DeadlineExceeded: late}
}

func checkHistoryContext(t *historyTest) {
	ch, fresh := t.channel("room"), t.channel("fresh")
	last := t.append(ch, "1", keep(100)).Position
	for want, ctx := range doneContexts() {
		_, err := t.store.Append(ctx, ch, event(ch, "2"), keyed("k"))
		require.ErrorIs(t, err, want, "Append")
		_, err = t.store.Append(ctx, fresh, event(fresh, "2"), keyed("k"))
		require.ErrorIs(t, err, want, "Append to a new channel")
		for _, result := range t.store.AppendBatch(ctx, []storage.AppendRequest{
			{Channel: ch, Event: event(ch, "2"), Options: keyed("k")}, {Channel: fresh, Event: event(fresh, "2")}}) {
			require.ErrorIs(t, result.Err, want, "AppendBatch")
		}
		_, err = t.store.Read(ctx, ch, storage.ReadOptions{})
		require.ErrorIs(t, err, want, "Read")
		require.False(t, errors.Is(err, storage.ErrGap), "the error of a context is no gap")
		_, err = t.store.Latest(ctx, []storage.ChannelID{ch})
		require.ErrorIs(t, err, want, "Latest")
		require.ErrorIs(t, t.store.Delete(ctx, ch), want, "Delete")
	}
	t.requireKept(ch, "1")
	require.Equal(t, last, t.latest(ch), "calls with a done context change nothing")
	require.Zero(t, t.latest(fresh).Offset, "calls with a done context change nothing")
	require.False(t, t.append(ch, "2", keyed("k")).Duplicate, "a key of a call with a done context is not used")
}
