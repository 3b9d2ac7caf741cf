package broker

import (
	"cmp"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/carillon-rt/carillon/storage"
)

// ruleSet finds the rule of a channel. It is made once, and safe for concurrent use.
//
// A channel that is open knows its rule. What is published needs that of channels
// which are not, too, and must not feel the patterns: the rules of recent channels are
// kept, in a fixed number of places, and for any other only those patterns are tried
// whose literal beginning its name has.
type ruleSet struct {
	rules    []ChannelRule
	matchers []matcher // one for each rule
	prefixes []prefix  // sorted by text

	recent [recentRules]atomic.Pointer[recentRule]
}

const (
	// recentRules is how many channels' rules are kept.
	recentRules = 4096
	// maxRecentBytes is how long the names of such a channel and its app may be
	// together: all but absurd ones.
	maxRecentBytes = 512
	// A channel takes the place of another one time out of recentChance: naming one
	// channel after the other neither allocates nor drives out those that are named
	// again and again.
	recentChance = 16
)

// recentRule is what is kept of a channel, whose name was checked.
type recentRule struct {
	channel storage.ChannelID
	kind    Kind
	rule    *ChannelRule
}

// matcher is a pattern without the literal text that it starts with.
type matcher struct {
	app  string // empty means all
	rest string
	star bool // rest is a star and then literal text
}

// prefix is literal text that patterns start with.
type prefix struct {
	text    string
	rules   []int // those that start with it, and go on with something else
	shorter int   // the longest other prefix that this one starts with; -1 if there is none
}

// meta are the characters of a pattern that do not stand for themselves.
const meta = `*?[\`

// newRuleSet takes over rules that were checked.
func newRuleSet(rules []ChannelRule) *ruleSet {
	s := &ruleSet{rules: rules, matchers: make([]matcher, len(rules))}
	starting := make(map[string][]int)
	for i := range rules {
		pattern := withoutSlashes(rules[i].Pattern)
		text := pattern
		if end := strings.IndexAny(pattern, meta); end >= 0 {
			text = pattern[:end]
		}
		rest := pattern[len(text):]
		s.matchers[i] = matcher{app: rules[i].App, rest: rest, star: rest != "" && rest[0] == '*' && !strings.ContainsAny(rest[1:], meta)}
		starting[text] = append(starting[text], i)
	}
	for text, rules := range starting {
		s.prefixes = append(s.prefixes, prefix{text: text, rules: rules})
	}
	slices.SortFunc(s.prefixes, func(a, b prefix) int { return cmp.Compare(a.text, b.text) })
	for i := range s.prefixes {
		p := &s.prefixes[i]
		for p.shorter = i - 1; p.shorter >= 0 && !strings.HasPrefix(p.text, s.prefixes[p.shorter].text); {
			p.shorter = s.prefixes[p.shorter].shorter
		}
	}
	return s
}

// recall returns what is kept of a channel, or nil.
func (s *ruleSet) recall(key *channelKey) *recentRule {
	if known := s.recent[key.hash%recentRules].Load(); known != nil && known.channel == key.id {
		return known
	}
	return nil
}

// of returns the rule of a channel whose name was checked. A channel that is open has
// it already.
func (s *ruleSet) of(key *channelKey) *ChannelRule {
	if s == nil {
		return &noRule
	}
	if known := s.recall(key); known != nil {
		return known.rule
	}
	ch := key.id
	rule := s.match(ch)
	place := &s.recent[key.hash%recentRules]
	if len(ch.App)+len(ch.Name) <= maxRecentBytes && (place.Load() == nil || rand.Uint32()%recentChance == 0) {
		// A copy, since the name may be part of something large.
		ch.Name = strings.Clone(ch.Name)
		place.Store(&recentRule{ch, KindOf(ch.Name), rule})
	}
	return rule
}

// match returns the first rule whose pattern matches the channel.
func (s *ruleSet) match(ch storage.ChannelID) *ChannelRule {
	name := withoutSlashes(ch.Name)
	// What the name starts with is the last text that is not behind it, or one that
	// this starts with itself.
	i, found := slices.BinarySearchFunc(s.prefixes, name, func(p prefix, name string) int { return cmp.Compare(p.text, name) })
	if !found {
		i--
	}
	first := len(s.rules)
	for ; i >= 0; i = s.prefixes[i].shorter {
		tail, ok := strings.CutPrefix(name, s.prefixes[i].text)
		if !ok {
			continue
		}
		for _, rule := range s.prefixes[i].rules {
			if rule > first {
				break
			}
			if s.matchers[rule].matches(ch.App, tail) {
				first = rule
				break
			}
		}
	}
	if first == len(s.rules) {
		return &noRule
	}
	return &s.rules[first]
}

// matches reports whether a channel of an app is meant, by what its name has behind
// the literal beginning.
func (m *matcher) matches(app, tail string) bool {
	switch {
	case m.app != "" && m.app != app:
		return false
	case m.rest == "":
		return tail == ""
	case m.star:
		return strings.HasSuffix(tail, m.rest[1:])
	}
	ok, _ := path.Match(m.rest, tail)
	return ok
}

// withoutSlashes puts another character in the place of the one that path.Match
// takes for a boundary.
func withoutSlashes(name string) string { return strings.ReplaceAll(name, "/", "\x00") }

var noRule ChannelRule

// nature checks the name of a channel, and returns what it says of the channel.
func (s *ruleSet) nature(key *channelKey) (Kind, *ChannelRule, error) {
	if s != nil {
		if known := s.recall(key); known != nil {
			return known.kind, known.rule, nil
		}
	}
	if err := CheckChannelName(key.id.Name); err != nil {
		return 0, nil, err
	}
	return KindOf(key.id.Name), s.of(key), nil
}
