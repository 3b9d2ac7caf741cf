package storagetest

import (
	"context"
	"slices"
	"strconv"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
)

// checkReadCurrent reads page by page, both ways.
func checkReadCurrent(t amendTest) {
	const events = 12
	ch := t.channel("room")
	var want []string
	for i := range events {
		id := strconv.Itoa(i)
		t.publish(ch, id, id, keep(100))
		want = append(want, id+"/0")
		switch {
		case i%3 == 1:
			t.amend(ch, amendment(ch, storage.Edit, id, 0, "e"+id, keep(100)))
			want[i] = "e" + id + "/1"
		case i%3 == 2:
			t.amend(ch, amendment(ch, storage.Edit, strconv.Itoa(i-2), 0, "late", keep(100)))
			want[i-2] = "late/1"
		}
	}
	for _, backward := range []bool{false, true} {
		var got []storage.Event
		opts := storage.ReadOptions{Current: true, Backward: backward, MaxEvents: 5}
		for more := true; more; {
			page := t.read(ch, opts)
			require.Equal(t, t.latest(ch), page.Latest)
			require.NotEmpty(t, page.Events)
			got, more = append(got, page.Events...), page.More
			opts.From = page.Events[len(page.Events)-1].Position
		}
		if backward {
			slices.Reverse(got)
		}
		require.Equal(t, want, shown(got))
	}
	opts := storage.ReadOptions{Current: true, Backward: true, MaxBytes: 5}
	require.Equal(t, []string{want[11], want[10]}, shown(t.read(ch, opts).Events), "of the current data")
	log := t.read(ch, storage.ReadOptions{})
	for _, ev := range log.Events {
		if ev.Amends != 0 { // a position like any other
			page := t.read(ch, storage.ReadOptions{Current: true, Backward: true, Inclusive: true, From: ev.Position, MaxEvents: 1})
			require.True(t, page.Events[0].Position.Before(ev.Position))
		}
	}
	t.requireGap(ch, storage.ReadOptions{Current: true, From: ahead(t.latest(ch), 1)})
}

func checkAmendFloor(t amendTest) {
	ch := t.channel("room")
	before := t.publish(ch, "a", "one", keep(10)).Position
	a := amendment(ch, storage.Edit, "a", 0, "two", keep(10))
	a.Options.Floor = ahead(before, 5)
	out := t.amend(ch, a)
	require.True(t, out.Position.After(a.Options.Floor), "%v after %v", out.Position, a.Options.Floor)
	page := t.read(ch, storage.ReadOptions{From: before})
	require.NoError(t, follow(before, page.Events))
	require.Equal(t, []string{"two/1"}, t.current(ch))
}

func checkAmendWatch(t amendTest) {
	store, ok := t.store.(storage.Watch)
	if !ok {
		return
	}
	ch := t.channel("room")
	t.publish(ch, "a", "one", keep(10))
	ctx, cancel := context.WithCancel(t.ctx)
	commits, ended := make(chan storage.Commit, 1000), make(chan error, 1)
	began := make(chan struct{}, 1000)
	go func() {
		ended <- store.Watch(ctx, func(c storage.Commit) {
			if c == (storage.Commit{}) {
				began <- struct{}{}
			}
			commits <- c
		})
	}()
	defer func() {
		cancel()
		require.Error(t, <-ended)
	}()
	<-began
	at := t.amend(ch, amendment(ch, storage.Edit, "a", 0, "two", keep(10))).Position
	for c := range commits {
		if c.Channel == ch && c.Latest == at {
			if c.Event != nil {
				require.Equal(t, "edit a log:two/1", showEvent(*c.Event))
			}
			return
		}
		if c.Channel == (storage.ChannelID{}) || c.Latest.IsZero() {
			if t.latest(ch) == at {
				return
			}
		}
	}
}

func checkAmendIsolation(t amendTest) {
	channels := alike(t.app)
	for _, ch := range channels {
		t.publish(ch, "a", "one", keep(10))
	}
	for i, ch := range channels {
		t.amend(ch, amendment(ch, storage.Edit, "a", 0, ch.String(), keyed("k")))
		require.Equal(t, []string{ch.String() + "/1"}, t.current(ch))
		for _, other := range channels[i+1:] {
			require.Equal(t, []string{"one/0"}, t.current(other), "%v after an edit on %v", other, ch)
		}
	}
}

func checkAmendDelete(t amendTest) {
	ch := t.channel("room")
	t.publish(ch, "a", "one", keep(10))
	t.amend(ch, amendment(ch, storage.Edit, "a", 0, "two", keep(10)))
	require.NoError(t, t.store.Delete(t.ctx, ch))
	require.Empty(t, t.current(ch))
	require.Empty(t, t.log(ch))
	t.requireNoTarget(ch, "a")
	t.publish(ch, "a", "three", keep(10))
	require.Equal(t, []string{"three/0"}, t.current(ch), "nothing of the amendments is left")
	t.amend(ch, amendment(ch, storage.Edit, "a", 0, "four", keep(10)))
	require.Equal(t, []string{"four/1"}, t.current(ch))
}

func checkAmendContext(t amendTest) {
	ch := t.channel("room")
	t.publish(ch, "a", "one", keep(10))
	latest := t.latest(ch)
	for want, ctx := range doneContexts() {
		_, err := t.amender.Amend(ctx, ch, amendment(ch, storage.Edit, "a", 0, "two", keyed("k")))
		require.ErrorIs(t, err, want)
		_, err = t.amender.Target(ctx, ch, "a")
		require.ErrorIs(t, err, want)
	}
	require.Equal(t, latest, t.latest(ch))
	require.Equal(t, []string{"one/0"}, t.current(ch))
	require.False(t, t.amend(ch, amendment(ch, storage.Edit, "a", 0, "two", keyed("k"))).Duplicate)
}
