package broker

import (
	"fmt"
	"path"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/carillon-rt/carillon/internal/alloctest"
	"github.com/carillon-rt/carillon/storage"
)

// firstMatch is what a ChannelRule promises: the first whose pattern matches.
func firstMatch(rules []ChannelRule, ch storage.ChannelID) *ChannelRule {
	for i := range rules {
		ok, _ := path.Match(withoutSlashes(rules[i].Pattern), withoutSlashes(ch.Name))
		if ok && (rules[i].App == "" || rules[i].App == ch.App) {
			return &rules[i]
		}
	}
	return &noRule
}

// TestRulesAreThoseOfTheFirstMatch draws patterns and names that have much in common.
func TestRulesAreThoseOfTheFirstMatch(t *testing.T) {
	texts := []string{"", "a", "ab", "b", "/", "é", "room-", "private-", "#server-to-user-"}
	metas := []string{"*", "?", "[a-b]", "[^a]", `\*`, `\a`, "[é/]", "**", "*b"}
	pieces := rapid.SliceOfN(rapid.SampledFrom(append(texts, metas...)), 1, 5)
	names := rapid.SliceOfN(rapid.SampledFrom(texts), 0, 6)
	apps := rapid.SampledFrom([]string{"1", "2"})
	rapid.Check(t, func(rt *rapid.T) {
		var rules []ChannelRule
		for range rapid.IntRange(1, 12).Draw(rt, "rules") {
			r := ChannelRule{Pattern: strings.Join(pieces.Draw(rt, "pattern"), "")}
			if rapid.Bool().Draw(rt, "of one app") {
				r.App = apps.Draw(rt, "its app")
			}
			if r.Pattern != "" {
				rules = append(rules, r)
			}
		}
		if len(rules) == 0 {
			return
		}
		b, err := New(WithChannelRules(rules...))
		require.NoError(rt, err)
		for range 8 {
			ch := storage.ChannelID{App: apps.Draw(rt, "app"), Name: strings.Join(names.Draw(rt, "name"), "")}
			want := firstMatch(b.rules.rules, ch)
			assert.Same(rt, want, b.rule(ch), "%v", ch)
			assert.Same(rt, want, b.rule(ch), "%v, kept", ch)
		}
	})
}

func FuzzRulesAreThoseOfTheFirstMatch(f *testing.F) {
	f.Add("presence-*", "presence-room-?", "presence-room-1")
	f.Add("[a-c]*x", "*", "#server-to-user-a/b")
	f.Add(`a\*`, "a*b*c", "abbc")
	f.Add("ab", "a", "ab")
	f.Fuzz(func(t *testing.T, first, second, name string) {
		b, err := New(WithChannelRules(ChannelRule{Pattern: first}, ChannelRule{Pattern: second, App: "1"}))
		if err != nil || strings.Contains(name, "\x00") { // which no name has
			return
		}
		for _, app := range []string{"1", "2"} {
			ch := storage.ChannelID{App: app, Name: name}
			assert.Same(t, firstMatch(b.rules.rules, ch), b.rule(ch))
		}
	})
}

// TestNamingManyChannelsKeepsNoneOut names more channels than rules are kept of:
// that costs no memory, and each has its own rule all the same.
func TestNamingManyChannelsKeepsNoneOut(t *testing.T) {
	b, err := New(WithChannelRules(ChannelRule{Pattern: "room-*7"}, ChannelRule{Pattern: "room-*"}))
	require.NoError(t, err)
	var naming sync.WaitGroup
	for range 4 {
		naming.Go(func() {
			for i := range 5 * recentRules {
				want := &b.rules.rules[1]
				if i%10 == 7 {
					want = &b.rules.rules[0]
				}
				ch := storage.ChannelID{App: "1", Name: fmt.Sprint("room-", i)}
				if got := b.rule(ch); got != want {
					assert.Same(t, want, got, ch.Name)
					return
				}
			}
		})
	}
	naming.Wait()
	names := make([]storage.ChannelID, 10_000)
	for i := range names {
		names[i] = storage.ChannelID{App: "1", Name: fmt.Sprint("other-", i)}
	}
	i := 0
	assert.Less(t, alloctest.PerRun(5000, func() {
		b.rule(names[i%len(names)])
		i++
	}), 1.0)
}

func TestAbsurdNamesAreNotKept(t *testing.T) {
	b, err := New(WithChannelRules(ChannelRule{Pattern: "*"}))
	require.NoError(t, err)
	for _, bytes := range []int{maxRecentBytes, maxRecentBytes + 1} {
		key := b.channels.key(storage.ChannelID{App: "1", Name: strings.Repeat("x", bytes-1)})
		assert.Same(t, &b.rules.rules[0], b.rules.of(&key))
		assert.Equal(t, bytes <= maxRecentBytes, b.rules.recall(&key) != nil)
	}
}

// TestNamesAreCheckedThoughRulesAreKept publishes to a name that is none, again and
// again.
func TestNamesAreCheckedThoughRulesAreKept(t *testing.T) {
	b, err := New(WithChannelRules(ChannelRule{Pattern: "*", Publishers: OnlyClients}))
	require.NoError(t, err)
	for range 2 {
		_, err = b.App("1").Publish(t.Context(), "no name", "message", nil)
		require.ErrorIs(t, err, ErrInvalid)
		_, err = b.App("1").Publish(t.Context(), "name", "message", nil)
		require.ErrorIs(t, err, ErrRefused)
	}
}
