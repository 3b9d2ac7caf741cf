package console

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWanted(t *testing.T) {
	for _, test := range []struct {
		w    wanted
		text string
		in   bool
	}{
		{part(""), "anything", true},
		{part("oom"), "Room-1", true},
		{part("ROOM"), "room", true},
		{part("x"), "room", false},
		{part("room-*"), "room-1", true},
		{part("room-*"), "a room-1", false},
		{part("*-1"), "Room-1", true},
		{part("room-?"), "room-é", true},
		{part("room-?"), "room-12", false},
		{whole("room"), "room-1", false},
		{whole("room"), "ROOM", true},
		{whole("room*"), "room-1", true},
		{part("[a-z]"), "a", false},
		{part("[a-z]"), "x[A-Z]x", true},
	} {
		assert.Equal(t, test.in, test.w.in(test.text), "%+v in %q", test.w, test.text)
	}
	assert.True(t, part("a*c").within("xxabcxx"))
	assert.False(t, part("a*c").within("xxcbaxx"))
}

func TestCut(t *testing.T) {
	assert.Equal(t, "aé", cut("aéb", 3))
	assert.Equal(t, "a", cut("aéb", 2))
	assert.Equal(t, "", cut("é", 1))
	assert.Equal(t, "abc", cut("abc", 3))
}

func TestNumber(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1 000", 1234567: "1 234 567", -1234: "-1 234"} {
		assert.Equal(t, strings.ReplaceAll(want, " ", "\u202f"), number(n))
	}
}

// FuzzMatches compares patterns with regular expressions.
func FuzzMatches(f *testing.F) {
	for _, seed := range [][2]string{{"room-*", "room-1"}, {"*", ""}, {"a*b*c", "aXbXc"}, {"?", "é"}, {"**?*", "x"}, {"", ""}, {"a*a*a*b", "aaaaaaaaaaaaaaaa"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if len(pattern)*len(text) > 1<<16 || !utf8.ValidString(pattern) || !utf8.ValidString(text) {
			return
		}
		expression := regexp.QuoteMeta(pattern)
		expression = strings.NewReplacer(`\*`, `(?s:.*)`, `\?`, `(?s:.)`).Replace(expression)
		re, err := regexp.Compile(`\A` + expression + `\z`)
		if err != nil {
			return // too large for regexp
		}
		assert.Equal(t, re.MatchString(text), matches(pattern, text), "%q matches %q", pattern, text)
	})
}

// FuzzFilters gives the filters of the log, and the place in a list, whatever there is.
func FuzzFilters(f *testing.F) {
	f.Add("publish,slow", "room-*", "MABjb25zdHJ1Y3RvcgAx", "1")
	f.Add("", "?", "", "\xff")
	d := newEventLog(DefaultLimits)
	r := record{facts: facts{kind: kindPublish}, data: []byte(`{"text":"hello"}`)}
	r.texts[textChannel] = "room-1"
	d.add(&r)
	f.Fuzz(func(t *testing.T, kinds, channel, next, q string) {
		set, err := parseKinds(kinds)
		if err == nil && kinds != "" {
			assert.NotZero(t, set)
		}
		if key, err := parseKey(next); err == nil {
			again, err := parseKey(key.String())
			require.NoError(t, err)
			assert.Equal(t, key, again)
		}
		e, ok := d.at(1)
		require.True(t, ok)
		flt := filter{channel: whole(channel), text: part(q), kinds: set, payloads: true}
		_ = flt.lets(&e)
	})
}
