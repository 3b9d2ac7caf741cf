package storagetest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
)

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
