package contain

import (
	"context"
	"time"
)

// CallHere calls f on its caller's goroutine, which costs far less than Call: f is known
// to return when its context has ended. A call whose ctx cannot end may take a sixteenth
// longer than the others.
func CallHere[T any](ctx context.Context, c *Calls, f func(context.Context) (T, error)) (value T, err error) {
	if err := ctx.Err(); err != nil {
		return value, err
	}
	defer Recover(&err)
	if ctx.Done() == nil {
		limited := sharedContext{c.sharedDeadline(), ctx}
		value, err = f(limited)
		return value, unlessLate(ctx, limited, c.timeout, err)
	}
	limited, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	value, err = f(limited)
	return value, unlessLate(ctx, limited, c.timeout, err)
}

// deadline is the end of all calls that begin before a time. A timer for each would cost
// more than the rest of a call.
type deadline struct {
	context.Context
	begin time.Time
}

func (c *Calls) sharedDeadline() context.Context {
	now := time.Now()
	if d := c.deadline.Load(); d != nil && now.Before(d.begin) {
		return d.Context
	}
	span := c.timeout / 16
	ctx, cancel := context.WithTimeout(context.Background(), c.timeout+span)
	context.AfterFunc(ctx, cancel)
	c.deadline.Store(&deadline{ctx, now.Add(span)})
	return ctx
}

// sharedContext ends with a deadline, and has the values of a caller whose own context
// never ends.
type sharedContext struct {
	context.Context
	caller context.Context
}

// Value implements context.Context. What the context package keeps there itself is the
// deadline's.
func (c sharedContext) Value(key any) any {
	if v := c.caller.Value(key); v != nil {
		return v
	}
	return c.Context.Value(key)
}
