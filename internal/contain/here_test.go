package contain_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/internal/contain"
)

func TestCallHere(t *testing.T) {
	broken := errors.New("broken")
	waits := func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ctx.Err() }
	const endless = -1
	for name, tc := range map[string]struct {
		call       func(ctx context.Context) (int, error)
		cancel     time.Duration // when the caller's context ends; 0 is after the call
		took       time.Duration
		want       string
		unfinished bool
	}{
		"returns":        {call: func(context.Context) (int, error) { return 7, nil }},
		"fails":          {call: func(context.Context) (int, error) { return 0, broken }, want: "broken"},
		"panics":         {call: func(context.Context) (int, error) { panic("oh") }, want: "panic: oh", unfinished: true},
		"takes too long": {call: waits, took: limit, want: "no answer within 10s", unfinished: true},
		"its caller goes": {call: waits, cancel: time.Second, took: time.Second,
			want: "context canceled", unfinished: true},
		"takes too long, for a caller without an end": {call: waits, cancel: endless, took: limit + limit/16,
			want: "no answer within 10s", unfinished: true},
		"panics, for a caller without an end": {call: func(context.Context) (int, error) { panic("oh") }, cancel: endless,
			want: "panic: oh", unfinished: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				switch {
				case tc.cancel > 0:
					time.AfterFunc(tc.cancel, cancel)
				case tc.cancel == endless:
					ctx = context.WithoutCancel(ctx)
				}
				start := time.Now()
				value, err := contain.CallHere(ctx, contain.New(limit), tc.call)
				assert.Equal(t, tc.took, time.Since(start))
				if tc.want == "" {
					require.NoError(t, err)
					assert.Equal(t, 7, value)
				} else {
					require.ErrorContains(t, err, tc.want)
				}
				assert.Equal(t, tc.unfinished, errors.Is(err, contain.ErrUnfinished))
			})
		})
	}
}

func TestNothingIsCalledHereForWhoHasGone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := contain.CallHere(ctx, contain.New(limit), func(context.Context) (int, error) { t.Error("called"); return 0, nil })
	require.ErrorIs(t, err, context.Canceled)
	assert.NotErrorIs(t, err, contain.ErrUnfinished)
}

// Calls without an end of their own share one, none has less time than the limit, and each
// has the values of its own caller.
func TestSharedDeadlines(t *testing.T) {
	type key struct{}
	synctest.Test(t, func(t *testing.T) {
		calls := contain.New(limit)
		for i := range 100 {
			start := time.Now()
			_, err := contain.CallHere(context.WithValue(context.Background(), key{}, i), calls, func(ctx context.Context) (int, error) {
				assert.Equal(t, i, ctx.Value(key{}))
				at, ok := ctx.Deadline()
				assert.True(t, ok)
				assert.GreaterOrEqual(t, at.Sub(start), limit)
				assert.LessOrEqual(t, at.Sub(start), limit+limit/16)
				below, cancel := context.WithCancel(ctx)
				defer cancel()
				if i%10 == 9 {
					<-below.Done()
				}
				return 0, below.Err()
			})
			if i%10 == 9 {
				var late *contain.TimeoutError
				require.ErrorAs(t, err, &late)
				assert.Equal(t, limit, late.Limit)
			} else {
				require.NoError(t, err)
			}
			time.Sleep(limit / 40)
		}
	})
}
