package storagetest

import (
	"errors"
	"fmt"
	"strconv"

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
