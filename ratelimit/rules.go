package ratelimit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/carillon-rt/carillon/internal/contain"
)

// ErrLimited is wrapped by every LimitError.
var ErrLimited = errors.New("rate limit reached")

// LimitError is the refusal of an action by a rule. It wraps ErrLimited.
type LimitError struct {
	// Rule is the name of the rule that refused.
	Rule string
	// Action is what was refused.
	Action Action
	// Limit is the rule's.
	Limit Limit
	// Cost is how many tokens the action takes, or several that were asked for
	// together.
	Cost int
	// RetryAfter is how long to wait, or Never if the action costs more than the
	// burst: it has to be made smaller.
	RetryAfter time.Duration
}

// Error names the rule and the limit, and says when to try again.
func (e *LimitError) Error() string {
	rate := strconv.FormatFloat(e.Limit.Rate, 'f', -1, 32) + " per second"
	if e.RetryAfter == Never {
		return fmt.Sprintf("%s: %d at once is more than the rate limit ever lets through: a burst has at most %d, at %s",
			e.Rule, e.Cost, e.Limit.Burst, rate)
	}
	reached := e.Rule + ": rate limit of " + rate + " reached, "
	unit := time.Millisecond
	if e.RetryAfter < unit {
		unit = time.Microsecond
	}
	return reached + "retry in " + e.RetryAfter.Round(unit).String()
}

// Unwrap returns ErrLimited.
func (e *LimitError) Unwrap() error { return ErrLimited }

// RuleError is a mistake in a Rule.
type RuleError struct {
	// Rule is the rule's name, or "#" and its number from 1 on if it has none.
	Rule string
	// Field is the field of the Rule that is wrong.
	Field string
	// Problem is what is wrong with it.
	Problem string
}

// Error names the rule, the field and the problem.
func (e *RuleError) Error() string {
	return fmt.Sprintf("rate limit rule %q: %s %s", e.Rule, e.Field, e.Problem)
}

// Rule limits one action.
type Rule struct {
	// Name is told to clients and counts refusals; it is part of the buckets'
	// keys. It is not empty and not the name of another rule in the same Rules.
	Name string
	// Action is what the rule limits.
	Action Action
	// Limit is that of each bucket.
	Limit Limit
	// By are the fields by which buckets are kept apart: one for each combination
	// of their values; without any, there is one bucket for all. Requests in which
	// a field is empty have one bucket in common; Match can leave them out.
	By []Field
	// Match says whether the rule applies to a request of its action; nil means
	// that it always does. It is called concurrently.
	Match func(Request) bool
	// Cost is how many tokens a request takes; nil means 1, and 0 or less that it
	// is free. A cost above Limit.Burst is always refused. It is called
	// concurrently.
	Cost func(Request) int
}

// Rules are the limits of a broker. They are safe for concurrent use.
type Rules struct {
	limiter  Limiter
	calls    *contain.Calls // of limiter
	memory   *Memory        // limiter, if it is one: its buckets are found without making a string
	byAction [actions][]*rule
	errors   atomic.Int64
	onError  atomic.Pointer[func(rule string, err error)]
}

type rule struct {
	Rule
	prefix  []byte // the start of its keys
	refused atomic.Int64
}

// New makes Rules that keep their buckets in limiter; nil means a new Memory.
// Rules of several Rules with the same name and limiter share their buckets.
// Mistakes are reported as *RuleError.
func New(limiter Limiter, rules ...Rule) (*Rules, error) {
	if limiter == nil {
		limiter = NewMemory()
	}
	r := &Rules{limiter: limiter, calls: contain.New(LimiterTimeout)}
	r.memory, _ = limiter.(*Memory)
	names := make(map[string]bool)
	for i, in := range rules {
		if err := in.check(i); err != nil {
			return nil, err
		}
		if names[in.Name] {
			return nil, &RuleError{Rule: in.Name, Field: "Name", Problem: "is that of another rule"}
		}
		names[in.Name] = true
		in.By = slices.Clone(in.By)
		r.byAction[in.Action] = append(r.byAction[in.Action], &rule{Rule: in, prefix: appendPart(nil, in.Name)})
	}
	return r, nil
}

func (r *Rule) check(i int) error {
	if r.Name == "" {
		return &RuleError{Rule: "#" + strconv.Itoa(i+1), Field: "Name", Problem: "is empty"}
	}
	if r.Action == 0 || r.Action >= actions {
		return &RuleError{Rule: r.Name, Field: "Action", Problem: fmt.Sprintf("is unknown: %d", r.Action)}
	}
	if field, problem := r.Limit.check(); field != "" {
		return &RuleError{Rule: r.Name, Field: field, Problem: problem}
	}
	for j, f := range r.By {
		if f == 0 || f >= fields {
			return &RuleError{Rule: r.Name, Field: "By", Problem: fmt.Sprintf("has an unknown field: %d", f)}
		}
		if slices.Contains(r.By[:j], f) {
			return &RuleError{Rule: r.Name, Field: "By", Problem: fmt.Sprintf("has %v twice", f)}
		}
	}
	return nil
}

// Check applies the rules of the request's action in their order, and returns the first
// refusal as a *LimitError. What the rules before that one have taken stays taken, so
// the rule that refuses most belongs first.
//
// If the limiter fails, panics or takes longer than LimiterTimeout, the rule counts as
// passed: an outage of the store does not stop the broker. Errors counts such failures,
// the function of OnError is called for them, and panics are logged. If ctx ended,
// Check returns an error that wraps ctx's.
func (r *Rules) Check(ctx context.Context, req Request) error {
	if req.Action >= actions {
		return nil
	}
	var now int64
	for _, rule := range r.byAction[req.Action] {
		cost := rule.cost(req)
		if cost <= 0 {
			continue
		}
		if now == 0 && r.memory != nil {
			now = sinceStart(time.Now())
		}
		var space [256]byte
		key := rule.key(space[:0], &req)
		if b := req.Before; b != nil && rule.cost(*b) == cost && bytes.Equal(rule.key(nil, b), key) {
			continue
		}
		if err := r.take(ctx, rule, key, now, cost); err != nil {
			return err
		}
	}
	return nil
}

// CheckAll checks several requests that belong together, such as an event to several
// channels: what they cost together is taken out of each bucket at once, or not at all.
// Requests that together cost more than a bucket holds are refused with Never. Errors
// are those of Check.
func (r *Rules) CheckAll(ctx context.Context, reqs []Request) error {
	now := sinceStart(time.Now())
	for action := range r.byAction {
		for _, rule := range r.byAction[action] {
			costs := make(map[string]int)
			var keys []string
			for i := range reqs {
				if reqs[i].Action != Action(action) {
					continue
				}
				if cost := rule.cost(reqs[i]); cost > 0 {
					key := string(rule.key(nil, &reqs[i]))
					before, known := costs[key]
					if !known {
						keys = append(keys, key)
					}
					costs[key] = before + min(cost, math.MaxInt-before)
				}
			}
			for _, key := range keys {
				if err := r.take(ctx, rule, []byte(key), now, costs[key]); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// cost returns how many tokens a request of the rule's action takes.
func (r *rule) cost(req Request) int {
	switch {
	case r.Match != nil && !r.Match(req):
		return 0
	case r.Cost != nil:
		return r.Cost(req)
	}
	return 1
}

// key appends the key of a request's bucket.
func (r *rule) key(b []byte, req *Request) []byte {
	b = append(b, r.prefix...)
	for _, f := range r.By {
		b = appendField(b, req, f)
	}
	return b
}

// take takes tokens out of a bucket. now is the time if the buckets are in memory.
func (r *Rules) take(ctx context.Context, rule *rule, key []byte, now int64, cost int) error {
	var d Decision
	if r.memory != nil {
		d = r.memory.take(maphash.Bytes(r.memory.seed, key), now, rule.Limit, cost)
	} else {
		var err error
		if d, err = r.ask(ctx, rule, string(key), cost); err != nil {
			if ended := ctx.Err(); ended != nil {
				return fmt.Errorf("rate limit rule %q: %w", rule.Name, ended)
			}
			r.failed(rule.Name, err)
			return nil
		}
	}
	if !d.OK {
		rule.refused.Add(1)
		return &LimitError{Rule: rule.Name, Action: rule.Action, Limit: rule.Limit, Cost: cost, RetryAfter: d.RetryAfter}
	}
	return nil
}

// LimiterTimeout is how long a Limiter may take to decide; one that takes longer
// has failed.
const LimiterTimeout = 2 * time.Second

// ask asks a limiter that may hang or panic.
func (r *Rules) ask(ctx context.Context, rule *rule, key string, cost int) (Decision, error) {
	d, err := contain.Call(ctx, r.calls, func(ctx context.Context) (Decision, error) {
		return r.limiter.Take(ctx, key, rule.Limit, cost)
	})
	var panicked *contain.PanicError
	if errors.As(err, &panicked) {
		slog.Default().Error("limiter panicked", "rule", rule.Name, "panic", panicked.Value, "stack", string(panicked.Stack))
	}
	return d, err
}

func (r *Rules) failed(rule string, err error) {
	r.errors.Add(1)
	if f := r.onError.Load(); f != nil {
		(*f)(rule, err)
	}
}

// OnError has f called for every failure of the limiter, with the name of the rule that
// was passed because of it. It replaces the previous f, and may be called at any time;
// nil calls nothing. f is called by Check, concurrently.
func (r *Rules) OnError(f func(rule string, err error)) {
	if f == nil {
		r.onError.Store(nil)
		return
	}
	r.onError.Store(&f)
}

// Refused returns how many requests each rule has refused, by its name.
func (r *Rules) Refused() map[string]int64 {
	refused := make(map[string]int64)
	for _, rules := range r.byAction {
		for _, rule := range rules {
			refused[rule.Name] = rule.refused.Load()
		}
	}
	return refused
}

// Errors returns how often a rule was passed because the limiter failed.
func (r *Rules) Errors() int64 { return r.errors.Load() }
