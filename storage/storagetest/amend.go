package storagetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
)

// amendTest is what one check of an Amend works with.
type amendTest struct {
	*historyTest
	amender storage.Amend
}

// amends makes a check of one that is for stores which implement storage.Amend only.
func amends(name string, run func(amendTest)) check[*historyTest] {
	return check[*historyTest]{name, func(t *historyTest) {
		if store, ok := t.store.(storage.Amend); ok {
			_, err := store.Target(t.ctx, t.channel("any"), "none")
			if !errors.Is(err, errors.ErrUnsupported) {
				run(amendTest{t, store})
			}
		}
	}}
}

func amendChecks() []check[*historyTest] {
	return []check[*historyTest]{
		amends("AmendEdits", checkEdit),
		amends("AmendExtends", checkExtend),
		amends("AmendRetracts", checkRetract),
		amends("RetractedIsGone", checkRetractedIsGone),
		amends("AmendKeepsFields", checkAmendFields),
		amends("AmendStaleVersion", checkStaleVersion),
		amends("AmendOperationIsDoneOnce", checkAmendKey),
		amends("AmendWithoutTarget", checkNoTarget),
		amends("AmendLatestOfEqualIDs", checkEqualIDs),
		amends("AmendmentsAreNoEvents", checkAmendRetention),
		amends("AmendmentsAreBounded", checkAmendBound),
		amends("AmendExpiredTarget", checkAmendAge),
		amends("AmendReadCurrent", checkReadCurrent),
		amends("AmendFloor", checkAmendFloor),
		amends("AmendWatch", checkAmendWatch),
		amends("AmendIsolation", checkAmendIsolation),
		amends("AmendAfterDelete", checkAmendDelete),
		amends("AmendDoneContext", checkAmendContext),
		amends("ConcurrentAmendments", checkConcurrentAmendments),
		amends("ConcurrentOperations", checkConcurrentOperations),
		amends("ReadersSeeWholeAmendments", checkConcurrentAmendReaders),
		amends("AmendModel", checkAmendModel),
	}
}

// publish appends an event with an ID.
func (t amendTest) publish(ch storage.ChannelID, id, data string, opts storage.AppendOptions) storage.Appended {
	t.Helper()
	out, err := t.store.Append(t.ctx, ch, &storage.Event{ID: id, Name: "message", Channel: ch.Name, Data: []byte(data)}, opts)
	require.NoError(t, err)
	return out
}

// amendment makes one of an event whose version is known.
func amendment(ch storage.ChannelID, kind storage.AmendKind, target string, version uint64, data string, opts storage.AppendOptions) storage.Amendment {
	a := storage.Amendment{Kind: kind, Target: target, Version: version, Options: opts, Event: &storage.Event{
		ID: unique("amendment"), Name: "amended", Channel: ch.Name, Data: []byte("log:" + data),
		Amends: kind, Target: target, Version: version + 1,
	}}
	if kind != storage.Retract {
		a.Data = []byte(data)
	}
	return a
}

func (t amendTest) amend(ch storage.ChannelID, a storage.Amendment) storage.Amended {
	t.Helper()
	out, err := t.amender.Amend(t.ctx, ch, a)
	require.NoError(t, err, "%v of %s", a.Kind, a.Target)
	return out
}

func (t amendTest) target(ch storage.ChannelID, id string) storage.Event {
	t.Helper()
	ev, err := t.amender.Target(t.ctx, ch, id)
	require.NoError(t, err)
	return ev
}

// current and log are what the two kinds of reads show: "data/version", and "-" in place
// of data that was retracted.
func (t amendTest) current(ch storage.ChannelID) []string {
	t.Helper()
	return shown(t.read(ch, storage.ReadOptions{Current: true}).Events)
}

func (t amendTest) log(ch storage.ChannelID) []string {
	t.Helper()
	return shown(t.read(ch, storage.ReadOptions{}).Events)
}

func shown(events []storage.Event) []string {
	all := []string{}
	for _, ev := range events {
		all = append(all, showEvent(ev))
	}
	return all
}

func showEvent(ev storage.Event) string {
	text := string(ev.Data)
	if ev.Retracted {
		text += "-"
	}
	if ev.Amends != 0 {
		text = ev.Amends.String() + " " + ev.Target + " " + text
	}
	return fmt.Sprintf("%s/%d", text, ev.Version)
}

func checkEdit(t amendTest) {
	ch := t.channel("room")
	first := t.publish(ch, "a", "one", keep(10))
	second := t.publish(ch, "b", "two", keep(10))
	a := amendment(ch, storage.Edit, "a", 0, "ONE", keep(10))
	out := t.amend(ch, a)
	require.EqualValues(t, 1, out.Version)
	require.False(t, out.Duplicate)
	require.True(t, out.Position.After(second.Position), "an amendment has a position of its own")
	require.Equal(t, out.Position, t.latest(ch))
	require.Zero(t, a.Event.Position, "the caller's event is not changed")

	require.Equal(t, []string{"ONE/1", "two/0"}, t.current(ch))
	require.Equal(t, []string{"one/0", "two/0", "edit a log:ONE/1"}, t.log(ch))
	is := t.target(ch, "a")
	require.Equal(t, "ONE/1", showEvent(is))
	require.Equal(t, first.Position, is.Position, "the target stays where it is")

	require.EqualValues(t, 2, t.amend(ch, amendment(ch, storage.Edit, "a", 1, "", keep(10))).Version)
	require.Equal(t, []string{"/2", "two/0"}, t.current(ch), "an edit may leave nothing")
	page := t.read(ch, storage.ReadOptions{From: first.Position})
	require.NoError(t, follow(first.Position, page.Events))
	require.Len(t, page.Events, 3)
	require.Equal(t, "amended", page.Events[1].Name)
	require.Equal(t, a.Event.ID, page.Events[1].ID)
}

func checkExtend(t amendTest) {
	ch := t.channel("room")
	t.publish(ch, "a", "", keep(10))
	want := ""
	for n := range uint64(5) {
		text := "世" + strconv.Itoa(int(n))
		data := []byte(text)
		a := amendment(ch, storage.Extend, "a", n, text, keep(10))
		a.Data = data
		require.Equal(t, n+1, t.amend(ch, a).Version)
		want += text
		require.Equal(t, fmt.Sprintf("%s/%d", want, n+1), showEvent(t.target(ch, "a")))
	}
	require.Equal(t, []string{want + "/5"}, t.current(ch))
	require.Len(t, t.log(ch), 6)
	t.amend(ch, amendment(ch, storage.Edit, "a", 5, "new", keep(10)))
	t.amend(ch, amendment(ch, storage.Extend, "a", 6, "er", keep(10)))
	require.Equal(t, []string{"newer/7"}, t.current(ch))
}

func checkRetract(t amendTest) {
	ch := t.channel("room")
	t.publish(ch, "a", "one", keep(10))
	t.publish(ch, "b", "two", keep(10))
	require.EqualValues(t, 1, t.amend(ch, amendment(ch, storage.Retract, "a", 0, "", keep(10))).Version)
	require.Equal(t, []string{"-/1", "two/0"}, t.current(ch))
	require.Equal(t, []string{"-/1", "two/0", "retract a log:/1"}, t.log(ch))
	require.Equal(t, "-/1", showEvent(t.target(ch, "a")), "what was retracted is still a target")
	latest := t.latest(ch)
	for _, kind := range []storage.AmendKind{storage.Edit, storage.Extend, storage.Retract} {
		for version := range uint64(3) {
			out, err := t.amender.Amend(t.ctx, ch, amendment(ch, kind, "a", version, "x", keep(10)))
			require.ErrorIs(t, err, storage.ErrRetracted, "%v of what was retracted: %+v", kind, out)
			var refused *storage.TargetError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, storage.TargetError{Channel: ch, Target: "a", Err: storage.ErrRetracted}, *refused)
		}
	}
	require.Equal(t, latest, t.latest(ch))
}

// checkRetractedIsGone looks for what was retracted wherever a store shows anything.
func checkRetractedIsGone(t amendTest) {
	const secret = "secret"
	ch := t.channel("room")
	opts := keep(5)
	t.publish(ch, "a", secret+"1", opts)
	t.publish(ch, "b", "public", opts)
	t.amend(ch, amendment(ch, storage.Edit, "a", 0, secret+"2", opts))
	t.amend(ch, amendment(ch, storage.Edit, "b", 0, "PUBLIC", opts))
	t.amend(ch, amendment(ch, storage.Extend, "a", 1, secret+"3", opts))
	t.amend(ch, amendment(ch, storage.Retract, "a", 2, "", opts))
	look := func() {
		t.Helper()
		for _, o := range []storage.ReadOptions{{}, {Current: true}, {Fill: true}, {Backward: true}, {Backward: true, Current: true}, {Backward: true, Fill: true}} {
			for _, ev := range t.read(ch, o).Events {
				require.NotContains(t, string(ev.Data), secret, "a read with %+v", o)
			}
		}
		if ev, err := t.amender.Target(t.ctx, ch, "a"); err == nil {
			require.Empty(t, ev.Data)
			require.True(t, ev.Retracted)
		}
	}
	look()
	require.Equal(t, []string{"-/3", "PUBLIC/1"}, t.current(ch))
	require.Equal(t, []string{"-/3", "public/0", "edit a -/1", "edit b log:PUBLIC/1", "extend a -/2", "retract a log:/3"}, t.log(ch))
	for i := range 10 {
		t.publish(ch, strconv.Itoa(i), "x", opts)
		look()
	}
}

func checkAmendFields(t amendTest) {
	ch := t.channel("room")
	given := storage.Event{ID: "a", Name: "client-message", Channel: ch.Name, Data: []byte("1"), JSON: true, UserID: "ann", SocketID: "1.2", Exclude: "1.2"}
	out, err := t.store.Append(t.ctx, ch, &given, keep(10))
	require.NoError(t, err)
	a := amendment(ch, storage.Edit, "a", 0, "2", keep(10))
	a.Event.UserID, a.Event.SocketID, a.Event.Exclude, a.Event.JSON = "bob", "3.4", "5.6", true
	at := t.amend(ch, a).Position
	given.Position, given.Data, given.Version = out.Position, []byte("2"), 1
	requireSameEvent(t, given, t.target(ch, "a"))
	requireSameEvent(t, given, t.read(ch, storage.ReadOptions{Current: true}).Events[0])
	want := *a.Event
	want.Position = at
	got := t.read(ch, storage.ReadOptions{}).Events[1]
	requireSameEvent(t, want, got)
	require.Equal(t, []any{storage.Edit, "a", uint64(1)}, []any{got.Amends, got.Target, got.Version})
}

func checkStaleVersion(t amendTest) {
	ch := t.channel("room")
	t.publish(ch, "a", "one", keep(10))
	t.amend(ch, amendment(ch, storage.Edit, "a", 0, "two", keep(10)))
	latest := t.latest(ch)
	for _, version := range []uint64{0, 2, 1 << 40} {
		for _, kind := range []storage.AmendKind{storage.Edit, storage.Extend, storage.Retract} {
			_, err := t.amender.Amend(t.ctx, ch, amendment(ch, kind, "a", version, "x", keyed("k")))
			require.ErrorIs(t, err, storage.ErrStaleVersion)
			var stale *storage.StaleVersionError
			require.ErrorAs(t, err, &stale)
			require.Equal(t, storage.StaleVersionError{Channel: ch, Target: "a", Version: version, Current: 1}, *stale)
		}
	}
	require.Equal(t, latest, t.latest(ch), "what is refused takes no position")
	require.Equal(t, []string{"two/1"}, t.current(ch))
	require.False(t, t.amend(ch, amendment(ch, storage.Edit, "a", 1, "x", keyed("k"))).Duplicate, "what is refused uses no key")
}

func checkAmendKey(t amendTest) {
	ch := t.channel("room")
	t.publish(ch, "a", "one", keep(100))
	extend := amendment(ch, storage.Extend, "a", 0, "x", keyed("k"))
	first := t.amend(ch, extend)
	t.amend(ch, amendment(ch, storage.Extend, "a", 1, "y", keep(100)))
	latest := t.latest(ch)
	for _, version := range []uint64{0, 1, 2} { // who tries again may have read the target again
		again := extend
		again.Version = version
		out := t.amend(ch, again)
		require.True(t, out.Duplicate)
		require.Equal(t, first.Position, out.Position)
		require.Equal(t, first.Version, out.Version)
	}
	require.Equal(t, []string{"onexy/2"}, t.current(ch))
	other := extend
	other.Options.RequestHash[0] = 1
	out, err := t.amender.Amend(t.ctx, ch, other)
	require.ErrorIs(t, err, storage.ErrKeyReused)
	require.Zero(t, out)
	require.Equal(t, latest, t.latest(ch))

	require.ErrorIs(t, func() error { _, err := t.store.Append(t.ctx, ch, event(ch, "1"), other.Options); return err }(),
		storage.ErrKeyReused, "publishing and amending have the same keys")
	t.amend(ch, amendment(ch, storage.Retract, "a", 2, "", keyed("r")))
	require.True(t, t.amend(ch, amendment(ch, storage.Retract, "a", 2, "", keyed("r"))).Duplicate, "a retry of a retraction")
	require.True(t, t.amend(ch, extend).Duplicate, "a retry of what came before it")
	require.Equal(t, []string{"-/3"}, t.current(ch))
}

func (t amendTest) requireNoTarget(ch storage.ChannelID, id string) {
	t.Helper()
	_, err := t.amender.Target(t.ctx, ch, id)
	require.ErrorIs(t, err, storage.ErrNoTarget)
	for _, kind := range []storage.AmendKind{storage.Edit, storage.Extend, storage.Retract} {
		_, err := t.amender.Amend(t.ctx, ch, amendment(ch, kind, id, 0, "x", keep(2)))
		require.ErrorIs(t, err, storage.ErrNoTarget)
		var refused *storage.TargetError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, storage.TargetError{Channel: ch, Target: id, Err: storage.ErrNoTarget}, *refused)
	}
}

func checkNoTarget(t amendTest) {
	ch := t.channel("room")
	t.requireNoTarget(ch, "a")
	require.Zero(t, t.latest(ch).Offset)
	for _, id := range []string{"a", "b", "c"} {
		t.publish(ch, id, id, keep(2))
	}
	for _, id := range []string{"", "a", "A", "b ", "d"} { // a has been trimmed
		t.requireNoTarget(ch, id)
	}
	a := amendment(ch, storage.Edit, "b", 0, "B", keep(2))
	t.amend(ch, a)
	t.requireNoTarget(ch, a.Event.ID)
	t.requireNoTarget(t.channel("other"), "b")
	require.Equal(t, []string{"B/1", "c/0"}, t.current(ch))
	t.requireKeptTarget(ch, "c")
}

func (t amendTest) requireKeptTarget(ch storage.ChannelID, id string) {
	t.Helper()
	require.Equal(t, id, t.target(ch, id).ID)
}

func checkEqualIDs(t amendTest) {
	ch := t.channel("room")
	for _, data := range []string{"one", "two"} {
		t.publish(ch, "a", data, keep(10))
	}
	t.amend(ch, amendment(ch, storage.Edit, "a", 0, "TWO", keep(10)))
	require.Equal(t, []string{"one/0", "TWO/1"}, t.current(ch))
	t.publish(ch, "a", "three", keep(10))
	require.Equal(t, "three/0", showEvent(t.target(ch, "a")))
}

// checkAmendRetention edits more often than the channel keeps events.
func checkAmendRetention(t amendTest) {
	ch := t.channel("room")
	opts := keep(3)
	for _, id := range []string{"a", "b", "c"} {
		t.publish(ch, id, id, opts)
	}
	before := t.latest(ch)
	for i := range uint64(20) {
		t.amend(ch, amendment(ch, storage.Edit, "a", i, strconv.Itoa(int(i)), opts))
	}
	require.Equal(t, []string{"19/20", "b/0", "c/0"}, t.current(ch))
	page := t.read(ch, storage.ReadOptions{From: before})
	require.Len(t, page.Events, 20, "as many amendments are kept, for those who resume")
	require.NoError(t, follow(before, page.Events))
	t.publish(ch, "d", "d", opts)
	require.Equal(t, []string{"b/0", "c/0", "d/0"}, t.current(ch))
	t.requireNoTarget(ch, "a")
	t.amend(ch, amendment(ch, storage.Edit, "d", 0, "D", keep(1)))
	require.Equal(t, []string{"D/1"}, t.current(ch), "the retention of an amendment counts")
	t.requireNoTarget(ch, "c")
}

// checkAmendBound amends so often that not all amendments are kept.
func checkAmendBound(t amendTest) {
	const events, more = 4, 3 * storage.FillEvents
	ch := t.channel("room")
	opts := keep(events)
	start := t.latest(ch)
	for i := range events {
		t.publish(ch, strconv.Itoa(i), strconv.Itoa(i), opts)
	}
	positions := []storage.Position{t.latest(ch)}
	for i := range uint64(more) {
		positions = append(positions, t.amend(ch, amendment(ch, storage.Extend, "1", i, "x", opts)).Position)
	}
	want := []string{"0/0", "1" + strings.Repeat("x", more) + "/" + strconv.Itoa(more), "2/0", "3/0"}
	check := func() {
		t.Helper()
		require.Equal(t, want, t.current(ch), "no amendment drives an event out")
		page := t.read(ch, storage.ReadOptions{From: start, Current: true})
		require.Equal(t, want, shown(page.Events), "a current read from before the events is no gap")
		require.Equal(t, t.latest(ch), page.Latest)
		for i := len(want) - 1; i >= 0; i-- {
			require.Equal(t, want[:i], shown(reversed(t.read(ch, storage.ReadOptions{From: page.Events[i].Position, Backward: true, Current: true}).Events)))
			require.Equal(t, want[i+1:], shown(t.read(ch, storage.ReadOptions{From: page.Events[i].Position, Current: true}).Events))
		}
	}
	check()
	t.requireGap(ch, storage.ReadOptions{From: positions[0]})
	from := positions[more-storage.FillEvents]
	page := t.read(ch, storage.ReadOptions{From: from})
	require.Len(t, page.Events, storage.FillEvents)
	require.NoError(t, follow(from, page.Events))

	t.amend(ch, amendment(ch, storage.Edit, "0", 0, "zero", opts))
	want[0] = "zero/1"
	check()
	t.amend(ch, amendment(ch, storage.Retract, "1", more, "", opts))
	want[1] = "-/" + strconv.Itoa(more+1)
	check()
	t.publish(ch, "4", "4", opts)
	want = append(want[1:], "4/0")
	require.Equal(t, want, t.current(ch))
	t.requireGap(ch, storage.ReadOptions{From: start, Current: true})
	t.requireNoTarget(ch, "0")
	for i := 5; i < 9; i++ {
		t.publish(ch, strconv.Itoa(i), strconv.Itoa(i), opts)
	}
	require.Equal(t, []string{"5/0", "6/0", "7/0", "8/0"}, t.current(ch))
}

func reversed(events []storage.Event) []storage.Event {
	events = slices.Clone(events)
	slices.Reverse(events)
	return events
}

func checkAmendAge(t amendTest) {
	ch := t.channel("room")
	opts := keep(10)
	opts.Retention.Age = short
	t.publish(ch, "a", "one", opts)
	if t.clock.exact() {
		t.clock.advance(short * 3 / 5)
		t.amend(ch, amendment(ch, storage.Edit, "a", 0, "two", opts))
		require.Equal(t, []string{"two/1"}, t.current(ch))
	}
	t.clock.until(t.TB, short*3/5, "expired: the event", func() bool { return len(t.current(ch)) == 0 })
	_, err := t.amender.Amend(t.ctx, ch, amendment(ch, storage.Edit, "a", 1, "three", opts))
	require.ErrorIs(t, err, storage.ErrNoTarget, "an amendment does not make its target younger")
	t.publish(ch, "b", "four", opts)
	require.Equal(t, []string{"four/0"}, t.current(ch))
}

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

// amendFrom amends as callers do who want to win against others: from the version that
// there is.
func (t amendTest) amendFrom(ch storage.ChannelID, kind storage.AmendKind, id, data string, opts storage.AppendOptions) (storage.Amended, error) {
	for {
		is, err := t.amender.Target(t.ctx, ch, id)
		if err != nil {
			return storage.Amended{}, err
		}
		out, err := t.amender.Amend(t.ctx, ch, amendment(ch, kind, id, is.Version, data, opts))
		if !errors.Is(err, storage.ErrStaleVersion) {
			return out, err
		}
	}
}

func checkConcurrentAmendments(t amendTest) {
	const callers, each = 6, 10
	ch := t.channel("room")
	before := t.publish(ch, "a", "", keep(100)).Position
	require.NoError(t, together(callers, func(i int) error {
		for n := range each {
			if _, err := t.amendFrom(ch, storage.Extend, "a", fmt.Sprintf("[%d.%d]", i, n), keep(100)); err != nil {
				return err
			}
		}
		return nil
	}))
	is := t.target(ch, "a")
	require.EqualValues(t, callers*each, is.Version)
	// The log says in which order they came.
	page := t.read(ch, storage.ReadOptions{From: before})
	require.NoError(t, follow(before, page.Events))
	require.Len(t, page.Events, callers*each)
	var text strings.Builder
	for i, ev := range page.Events {
		require.EqualValues(t, i+1, ev.Version, "versions rise with positions")
		text.WriteString(strings.TrimPrefix(string(ev.Data), "log:"))
	}
	require.Equal(t, text.String(), string(is.Data))
}

func checkConcurrentOperations(t amendTest) {
	const callers = 12
	ch := t.channel("room")
	t.publish(ch, "a", "", keep(100))
	outs := make([]storage.Amended, callers)
	require.NoError(t, together(callers, func(i int) (err error) {
		outs[i], err = t.amendFrom(ch, storage.Extend, "a", "x", keyed("k"))
		return err
	}))
	first := 0
	for _, out := range outs {
		require.Equal(t, outs[0].Position, out.Position)
		if !out.Duplicate {
			first++
		}
	}
	require.Equal(t, 1, first, "callers who did it")
	require.Equal(t, []string{"x/1"}, t.current(ch))
}

// checkConcurrentAmendReaders has readers see an amendment and what it has made of its
// target together.
func checkConcurrentAmendReaders(t amendTest) {
	const edits, readers = 60, 3
	ch := t.channel("room")
	t.publish(ch, "a", "0", keep(100))
	start := t.latest(ch)
	require.NoError(t, together(1+readers, func(i int) error {
		if i == 0 {
			for n := range uint64(edits) {
				if _, err := t.amender.Amend(t.ctx, ch, amendment(ch, storage.Edit, "a", n, strconv.Itoa(int(n+1)), keep(100))); err != nil {
					return err
				}
			}
			return nil
		}
		for version := uint64(0); version < edits; {
			page, err := t.store.Read(t.ctx, ch, storage.ReadOptions{Current: true})
			if err != nil {
				return err
			}
			if len(page.Events) != 1 || string(page.Events[0].Data) != strconv.Itoa(int(page.Events[0].Version)) {
				return fmt.Errorf("a current read returned %v", shown(page.Events))
			}
			is := page.Events[0].Version
			if is < version {
				return fmt.Errorf("version %d was read after %d", is, version)
			}
			version = is
			if t.caps.ContiguousOffsets && page.Latest.Epoch == start.Epoch && page.Latest.Offset-start.Offset != is {
				return fmt.Errorf("version %d was read with the latest position %v", is, page.Latest)
			}
		}
		return nil
	}))
}

// amendRestartChecks are for stores that can be opened again.
func amendRestartChecks(h hooks) []check[*historyTest] {
	var checks []check[*historyTest]
	for name, hook := range map[string]func(testing.TB, Store) Store{"AmendRestart": h.restart, "AmendCrash": h.crash} {
		if hook != nil {
			checks = append(checks, amends(name, func(t amendTest) { t.checkAmendReopen(hook) }))
		}
	}
	slices.SortFunc(checks, func(a, b check[*historyTest]) int { return strings.Compare(a.name, b.name) })
	return checks
}

func (t amendTest) checkAmendReopen(hook func(testing.TB, Store) Store) {
	ch := t.channel("room")
	before := t.latest(ch)
	for _, id := range []string{"a", "b", "c"} {
		t.publish(ch, id, id, keep(100))
	}
	first := t.amend(ch, amendment(ch, storage.Extend, "a", 0, "1", keyed("k")))
	t.amend(ch, amendment(ch, storage.Edit, "b", 0, "B", keep(100)))
	t.amend(ch, amendment(ch, storage.Retract, "c", 0, "", keep(100)))
	current, log := t.current(ch), t.log(ch)
	require.Equal(t, []string{"a1/1", "B/1", "-/1"}, current)
	for round := range uint64(2) {
		t.reopen(hook)
		t.amender = t.store.(storage.Amend)
		require.Equal(t, current, t.current(ch), "after a restart")
		require.Equal(t, log, t.log(ch))
		require.NoError(t, followPage(before, t.read(ch, storage.ReadOptions{From: before}).Events))
		again := t.amend(ch, amendment(ch, storage.Extend, "a", 0, "1", keyed("k")))
		require.True(t, again.Duplicate)
		require.Equal(t, first.Position, again.Position)
		_, err := t.amender.Amend(t.ctx, ch, amendment(ch, storage.Edit, "b", round, "stale", keep(100)))
		require.ErrorIs(t, err, storage.ErrStaleVersion)
		t.amend(ch, amendment(ch, storage.Extend, "b", round+1, "!", keep(100)))
		current, log = t.current(ch), t.log(ch)
		require.Equal(t, "B"+strings.Repeat("!", int(round)+1), string(t.target(ch, "b").Data))
	}
}
