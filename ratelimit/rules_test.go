package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func mustNew(t testing.TB, limiter Limiter, rules ...Rule) *Rules {
	r, err := New(limiter, rules...)
	require.NoError(t, err)
	return r
}

func TestCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := mustNew(t, nil, ConnectionsPerIP(10, 1))
		req := Request{Action: Connect, App: "app", IP: "192.0.2.1"}
		require.NoError(t, r.Check(t.Context(), req))
		time.Sleep(70 * time.Millisecond)
		err := r.Check(t.Context(), req)
		assert.EqualError(t, err, "connections per IP: rate limit of 10 per second reached, retry in 30ms")
		assert.ErrorIs(t, err, ErrLimited)
		var limited *LimitError
		require.True(t, errors.As(fmt.Errorf("wrapped: %w", err), &limited))
		assert.Equal(t, &LimitError{Rule: "connections per IP", Action: Connect, Limit: Limit{10, 1}, Cost: 1, RetryAfter: 30 * time.Millisecond}, limited)

		req.IP = "192.0.2.2"
		assert.NoError(t, r.Check(t.Context(), req))
		for _, action := range []Action{0, Subscribe, ClientEvent, Publish, SignIn, actions, 255} {
			for range 3 {
				assert.NoError(t, r.Check(t.Context(), Request{Action: action, IP: "192.0.2.1"}))
			}
		}
		time.Sleep(limited.RetryAfter)
		assert.NoError(t, r.Check(t.Context(), Request{Action: Connect, IP: "192.0.2.1"}))
		assert.Equal(t, map[string]int64{"connections per IP": 1}, r.Refused())
		assert.Zero(t, r.Errors())
	})
}

// TestWhatHasPassedIsNotAskedAgain unless a rule knows more of it by now.
func TestWhatHasPassedIsNotAskedAgain(t *testing.T) {
	limit := Limit{Rate: 1, Burst: 2}
	for name, test := range map[string]struct {
		rule  Rule
		again bool
	}{
		"nothing new":        {Rule{By: []Field{ByIP}}, false},
		"one bucket for all": {Rule{}, false},
		"its bucket":         {Rule{By: []Field{ByIP, ByApp}}, true},
		"that it applies":    {Rule{Match: func(r Request) bool { return r.App != "" }}, true},
		"its cost":           {Rule{Cost: func(r Request) int { return min(len(r.App)+1, 2) }}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test.rule.Name, test.rule.Action, test.rule.Limit = "rule", Connect, limit
				r := mustNew(t, nil, test.rule)
				before := Request{Action: Connect, IP: "192.0.2.1"}
				req := Request{Action: Connect, App: "app", IP: "192.0.2.1", Before: &before}
				require.NoError(t, r.Check(t.Context(), before))
				var err error
				for range 3 {
					if err = r.Check(t.Context(), req); err != nil {
						break
					}
				}
				assert.Equal(t, test.again, err != nil, err)
			})
		})
	}
}

func TestLimitErrorText(t *testing.T) {
	for _, c := range []struct {
		limit Limit
		after time.Duration
		want  string
	}{
		{Limit{1e6, 1}, 1234567 * time.Nanosecond, "x: rate limit of 1000000 per second reached, retry in 1ms"},
		{Limit{1e6, 1}, 1500 * time.Nanosecond, "x: rate limit of 1000000 per second reached, retry in 2µs"},
		{Limit{1.0 / 6, 1}, 6*time.Second + 1, "x: rate limit of 0.16666667 per second reached, retry in 6s"},
		{Limit{1000, 50}, Never, "x: 100 at once is more than the rate limit ever lets through: a burst has at most 50, at 1000 per second"},
	} {
		assert.EqualError(t, &LimitError{Rule: "x", Limit: c.limit, Cost: 100, RetryAfter: c.after}, c.want)
	}
}

func TestRulesGoInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := mustNew(t, nil,
			Rule{Name: "first", Action: Publish, Limit: Limit{1, 3}},
			Rule{Name: "second", Action: Publish, Limit: Limit{1, 1}},
		)
		names := func() (names []string) {
			for range 4 {
				var limited *LimitError
				if errors.As(r.Check(t.Context(), Request{Action: Publish}), &limited) {
					names = append(names, limited.Rule)
				}
			}
			return names
		}
		assert.Equal(t, []string{"second", "second", "first"}, names(), "what first took stays taken")
		assert.Equal(t, map[string]int64{"first": 1, "second": 2}, r.Refused())
	})
}

func TestSeveralRequestsAreOne(t *testing.T) {
	for name, limiter := range map[string]Limiter{"memory": nil, "other": struct{ Limiter }{NewMemory()}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := mustNew(t, limiter,
					Rule{Name: "events", Action: Publish, Limit: Limit{1, 10}, By: []Field{ByApp}},
					Rule{Name: "of a channel", Action: Publish, Limit: Limit{1, 4}, By: []Field{ByChannel}},
				)
				check := func(channels ...string) error {
					var reqs []Request
					for _, ch := range channels {
						reqs = append(reqs, Request{Action: Publish, App: "1", Channel: ch})
					}
					return r.CheckAll(t.Context(), reqs)
				}
				var limited *LimitError
				require.NoError(t, check())
				require.ErrorAs(t, check(strings.Split("abcdefghijk", "")...), &limited)
				assert.Equal(t, &LimitError{Rule: "events", Action: Publish, Limit: Limit{1, 10}, Cost: 11, RetryAfter: Never}, limited)
				require.NoError(t, check(strings.Split("abcdefgaab", "")...), "what can never succeed has taken nothing")
				require.ErrorAs(t, check("h", "i"), &limited)
				assert.Equal(t, 2*time.Second, limited.RetryAfter)
				time.Sleep(2 * time.Second)
				require.NoError(t, check("h", "i"))
				time.Sleep(time.Minute)
				require.ErrorAs(t, check("a", "a", "b", "a", "a", "a"), &limited)
				assert.Equal(t, "of a channel", limited.Rule)
				assert.Equal(t, 5, limited.Cost)
			})
		})
	}
	huge := mustNew(t, nil, Rule{Name: "huge", Action: Publish, Limit: Limit{1, 10}, Cost: func(Request) int { return math.MaxInt }})
	assert.ErrorIs(t, huge.CheckAll(t.Context(), make([]Request, 2)), nil, "no action has no rules")
	assert.ErrorIs(t, huge.CheckAll(t.Context(), []Request{{Action: Publish}, {Action: Publish}}), ErrLimited)
}

func TestMatchAndCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := mustNew(t, nil, Rule{
			Name: "bytes of chat", Action: Publish, Limit: Limit{1, 100}, By: []Field{ByChannel},
			Match: func(req Request) bool { return strings.HasPrefix(req.Channel, "chat-") },
			Cost:  func(req Request) int { return req.Size },
		})
		check := func(channel string, size int) error {
			return r.Check(t.Context(), Request{Action: Publish, Channel: channel, Size: size})
		}
		assert.NoError(t, check("other", 1000))
		assert.NoError(t, check("chat-1", 60))
		assert.NoError(t, check("chat-2", 60))
		assert.NoError(t, check("chat-1", 40))
		assert.NoError(t, check("chat-1", 0), "0 is free")
		assert.NoError(t, check("chat-1", -5))
		var limited *LimitError
		require.ErrorAs(t, check("chat-1", 20), &limited)
		assert.Equal(t, 20*time.Second, limited.RetryAfter)
		require.ErrorAs(t, check("chat-3", 101), &limited)
		assert.Equal(t, Never, limited.RetryAfter)
	})
}

func TestBucketsAreApartByFields(t *testing.T) {
	full := Request{Action: SignIn, App: "a", IP: "192.0.2.1", User: "u", Session: "s", Channel: "c", Event: "e"}
	changes := map[Field]func(*Request){
		ByApp:     func(r *Request) { r.App = "x" },
		ByIP:      func(r *Request) { r.IP = "192.0.2.9" },
		ByUser:    func(r *Request) { r.User = "x" },
		BySession: func(r *Request) { r.Session = "x" },
		ByChannel: func(r *Request) { r.Channel = "x" },
		ByEvent:   func(r *Request) { r.Event = "x" },
	}
	require.Len(t, changes, fields-1)
	for by := range changes {
		for changed, change := range changes {
			r := mustNew(t, nil, Rule{Name: "x", Action: SignIn, Limit: Limit{1e-3, 1}, By: []Field{by}})
			require.NoError(t, r.Check(t.Context(), full))
			req := full
			change(&req)
			err := r.Check(t.Context(), req)
			assert.Equal(t, by != changed, errors.Is(err, ErrLimited), "by %v, other %v", by, changed)
		}
	}
}

func TestAddresses(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"::ffff:192.0.2.1", "::ffff:192.0.2.2", false},
		{"::ffff:c000:201", "192.0.2.1", true},
		{"2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", true},
		{"2001:db8:0:1::1", "2001:DB8::1:0:0:0:7", true},
		{"2001:db8:0:1::1", "2001:db8:0:2::1", false},
		{"fe80::1%eth0", "fe80::2", true},
		{"", "192.0.2.1", false},
		{"@", "@", true},
		{"@", "", false},
		{"192.0.2.1:80", "192.0.2.1", false},
	} {
		a, b := appendIP(nil, c.a), appendIP(nil, c.b)
		assert.Equal(t, c.same, string(a) == string(b), "%q is %q, %q is %q", c.a, a, c.b, b)
	}
}

// FuzzKeys holds that different requests have different keys.
func FuzzKeys(f *testing.F) {
	f.Add("a", "b", "", "ab")
	f.Add("1:a,", "", "", "1:a,")
	f.Add("2001:db8::1", "a", "2001:db8::2", "a")
	f.Fuzz(func(t *testing.T, user1, channel1, user2, channel2 string) {
		key := func(user, channel string) string {
			req := Request{User: user, Channel: channel, IP: user}
			appendIP(nil, user)
			return string(appendField(appendField(nil, &req, ByUser), &req, ByChannel))
		}
		same := user1 == user2 && channel1 == channel2
		assert.Equal(t, same, key(user1, channel1) == key(user2, channel2))
	})
}

func TestNewChecksRules(t *testing.T) {
	ok := Rule{Name: "x", Action: Connect, Limit: Limit{1, 1}}
	with := func(change func(*Rule)) Rule {
		r := ok
		change(&r)
		return r
	}
	for _, c := range []struct {
		rule        Rule
		name, field string
	}{
		{with(func(r *Rule) { r.Name = "" }), "#2", "Name"},
		{with(func(r *Rule) { r.Name = "first" }), "first", "Name"},
		{with(func(r *Rule) { r.Action = 0 }), "x", "Action"},
		{with(func(r *Rule) { r.Action = 99 }), "x", "Action"},
		{with(func(r *Rule) { r.Limit.Rate = math.NaN() }), "x", "Limit.Rate"},
		{with(func(r *Rule) { r.Limit.Rate = 1e-12 }), "x", "Limit.Burst"},
		{with(func(r *Rule) { r.Limit.Burst = 0 }), "x", "Limit.Burst"},
		{with(func(r *Rule) { r.By = []Field{0} }), "x", "By"},
		{with(func(r *Rule) { r.By = []Field{99} }), "x", "By"},
		{with(func(r *Rule) { r.By = []Field{ByIP, ByApp, ByIP} }), "x", "By"},
	} {
		first := ok
		first.Name = "first"
		_, err := New(nil, first, c.rule)
		var invalid *RuleError
		require.ErrorAs(t, err, &invalid)
		assert.Equal(t, c.name, invalid.Rule)
		assert.Equal(t, c.field, invalid.Field)
		assert.Contains(t, err.Error(), invalid.Problem)
	}
	for _, limit := range invalidLimits {
		_, err := New(nil, Rule{Name: "x", Action: Connect, Limit: limit})
		assert.Error(t, err, "%+v", limit)
	}
	mustNew(t, nil)
	mustNew(t, NewMemory(), ok, ConnectionsPerIP(1, 1), ClientEventsPerSession(1, 1), PublishesPerApp(1, 1), SubscribesPerSession(1, 1), PayloadBytesPerApp(1, 1))
}

func TestRulesDoNotChangeWithTheCallersSlice(t *testing.T) {
	rule := ConnectionsPerIP(1e-3, 1)
	r := mustNew(t, nil, rule)
	rule.By[0] = ByApp
	assert.NoError(t, r.Check(t.Context(), Request{Action: Connect, IP: "192.0.2.1"}))
	assert.NoError(t, r.Check(t.Context(), Request{Action: Connect, IP: "192.0.2.2"}))
}

func TestPresets(t *testing.T) {
	for _, c := range []struct {
		rule        Rule
		same, other Request
	}{
		{ConnectionsPerIP(1e-3, 1), Request{Action: Connect, IP: "::1", App: "x"}, Request{Action: Connect, IP: "1.1.1.1"}},
		{ClientEventsPerSession(1e-3, 1), Request{Action: ClientEvent, Session: "1.1", Channel: "x"}, Request{Action: ClientEvent, Session: "1.2"}},
		{PublishesPerApp(1e-3, 1), Request{Action: Publish, App: "a", Channel: "x"}, Request{Action: Publish, App: "b"}},
		{SubscribesPerSession(1e-3, 1), Request{Action: Subscribe, Session: "1.1", Channel: "x"}, Request{Action: Subscribe, Session: "1.2"}},
		{PayloadBytesPerApp(1e-3, 1000), Request{Action: Publish, App: "a", Size: 600}, Request{Action: Publish, App: "b", Size: 600}},
	} {
		r := mustNew(t, nil, c.rule)
		assert.NoError(t, r.Check(t.Context(), c.same), c.rule.Name)
		assert.ErrorIs(t, r.Check(t.Context(), c.same), ErrLimited, c.rule.Name)
		assert.NoError(t, r.Check(t.Context(), c.other), c.rule.Name)
		assert.Contains(t, []string{"connect", "client event", "publish", "subscribe", "sign-in"}, c.rule.Action.String())
	}
	assert.Equal(t, "sign-in", SignIn.String())
	assert.Equal(t, "action 0", Action(0).String())
	assert.Equal(t, "Channel", ByChannel.String())
	assert.Equal(t, "field 9", Field(9).String())
}

// limiterFunc is a Limiter that is not a Memory.
type limiterFunc func(ctx context.Context, key string, limit Limit, cost int) (Decision, error)

func (f limiterFunc) Take(ctx context.Context, key string, limit Limit, cost int) (Decision, error) {
	return f(ctx, key, limit, cost)
}

func TestOtherLimiter(t *testing.T) {
	var keys []string
	m := NewMemory()
	r := mustNew(t, limiterFunc(func(ctx context.Context, key string, limit Limit, cost int) (Decision, error) {
		keys = append(keys, key)
		return m.Take(ctx, key, limit, cost)
	}), Rule{Name: "joins", Action: Subscribe, Limit: Limit{1e-3, 1}, By: []Field{ByIP, ByChannel}})
	req := Request{Action: Subscribe, IP: "2001:db8::1", Channel: strings.Repeat("c", 300)}
	assert.NoError(t, r.Check(t.Context(), req))
	assert.ErrorIs(t, r.Check(t.Context(), req), ErrLimited)
	assert.Equal(t, "5:joins,13:2001:db8::/64,300:"+req.Channel+",", keys[0])
	assert.Equal(t, keys[0], keys[1])
}

func TestLimiterFails(t *testing.T) {
	down := errors.New("store is down")
	var calls int
	r := mustNew(t, limiterFunc(func(ctx context.Context, key string, _ Limit, _ int) (Decision, error) {
		calls++
		if strings.Contains(key, "per app") {
			return Decision{}, down
		}
		return Decision{RetryAfter: time.Second}, nil
	}), PublishesPerApp(1, 1), Rule{Name: "next", Action: Publish, Limit: Limit{1, 1}})
	var heard []string
	r.OnError(func(rule string, err error) {
		assert.ErrorIs(t, err, down)
		heard = append(heard, rule)
	})
	assert.ErrorIs(t, r.Check(t.Context(), Request{Action: Publish}), ErrLimited, "the next rule still holds")
	r.OnError(nil)
	assert.ErrorIs(t, r.Check(t.Context(), Request{Action: Publish}), ErrLimited)
	assert.Equal(t, []string{"publishes per app"}, heard)
	assert.EqualValues(t, 2, r.Errors())
	assert.Equal(t, map[string]int64{"publishes per app": 0, "next": 2}, r.Refused())
	assert.Equal(t, 4, calls)
}

func TestALimiterThatPanicsOrHangsFails(t *testing.T) {
	for name, take := range map[string]func(release chan struct{}){
		"panics": func(chan struct{}) { panic("limiter of the test") },
		"hangs":  func(release chan struct{}) { <-release },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				defer close(release)
				r := mustNew(t, limiterFunc(func(context.Context, string, Limit, int) (Decision, error) {
					take(release)
					return Decision{}, nil
				}), PublishesPerApp(1, 1))
				start := time.Now()
				assert.NoError(t, r.Check(t.Context(), Request{Action: Publish}))
				assert.LessOrEqual(t, time.Since(start), LimiterTimeout)
				assert.EqualValues(t, 1, r.Errors())
				assert.NoError(t, r.CheckAll(t.Context(), []Request{{Action: Publish}}))
				assert.EqualValues(t, 2, r.Errors())
			})
		})
	}
}

func TestContextEnds(t *testing.T) {
	r := mustNew(t, limiterFunc(func(ctx context.Context, _ string, _ Limit, _ int) (Decision, error) {
		<-ctx.Done()
		return Decision{}, errors.New("connection closed")
	}), PublishesPerApp(1, 1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := r.Check(ctx, Request{Action: Publish})
	assert.ErrorIs(t, err, context.Canceled)
	assert.NotErrorIs(t, err, ErrLimited)
	assert.Zero(t, r.Errors())
}

func TestCheckConcurrently(t *testing.T) {
	r := mustNew(t, nil, Rule{Name: "x", Action: Publish, Limit: Limit{1e-3, 500}, By: []Field{ByApp}})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 500 {
				_ = r.Check(context.Background(), Request{Action: Publish, App: fmt.Sprint(i % 2)})
				r.Refused()
			}
		})
	}
	wg.Wait()
	assert.Equal(t, map[string]int64{"x": 3000}, r.Refused())
}

// TestMemoryAndOtherLimitersAgree holds that the short cut to a Memory decides as
// the interface does.
func TestMemoryAndOtherLimitersAgree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rules := []Rule{
			{Name: "user", Action: Publish, Limit: Limit{2, 5}, By: []Field{ByUser, ByIP}},
			PayloadBytesPerApp(10, 20),
		}
		direct := mustNew(t, NewMemory(), rules...)
		through := mustNew(t, limiterFunc(NewMemory().Take), rules...)
		random := rand.New(rand.NewPCG(1, 2))
		for range 5_000 {
			time.Sleep(time.Duration(random.IntN(500)) * time.Millisecond)
			req := Request{
				Action: Publish, User: []string{"", "u"}[random.IntN(2)],
				IP: []string{"::1", "::2", "1.2.3.4"}[random.IntN(3)], Size: random.IntN(22),
			}
			require.Equal(t, through.Check(t.Context(), req), direct.Check(t.Context(), req))
		}
		assert.Equal(t, through.Refused(), direct.Refused())
		assert.Positive(t, direct.Refused()["payload bytes per app"])
	})
}
