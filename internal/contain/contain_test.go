package contain_test

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/carillon-rt/carillon/internal/contain"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const limit = 10 * time.Second

func TestCall(t *testing.T) {
	broken := errors.New("broken")
	for name, tc := range map[string]struct {
		call       func(ctx context.Context, release chan struct{}) (int, error)
		cancel     time.Duration // when the caller's context ends; 0 is never
		took       time.Duration
		is         []error
		text       string
		unfinished bool
	}{
		"returns":        {call: func(context.Context, chan struct{}) (int, error) { return 7, nil }},
		"fails":          {call: func(context.Context, chan struct{}) (int, error) { return 0, broken }, is: []error{broken}},
		"panics":         {call: func(context.Context, chan struct{}) (int, error) { panic("oh") }, text: "panic: oh", unfinished: true},
		"panics with no": {call: func(context.Context, chan struct{}) (int, error) { panic(nil) }, text: "panic", unfinished: true},
		"exits": {call: func(context.Context, chan struct{}) (int, error) { runtime.Goexit(); return 0, nil },
			text: "goroutine has ended", unfinished: true},
		"hangs": {call: func(_ context.Context, release chan struct{}) (int, error) { <-release; return 7, nil },
			took: limit, text: "no answer within 10s", unfinished: true},
		"heeds its context": {call: func(ctx context.Context, _ chan struct{}) (int, error) { <-ctx.Done(); return 0, ctx.Err() },
			took: limit, text: "no answer within 10s", unfinished: true},
		"hangs, and its caller goes": {call: func(_ context.Context, release chan struct{}) (int, error) { <-release; return 7, nil },
			cancel: time.Second, took: time.Second, is: []error{context.Canceled}, unfinished: true},
		"heeds its context, and its caller goes": {call: func(ctx context.Context, _ chan struct{}) (int, error) { <-ctx.Done(); return 0, ctx.Err() },
			cancel: time.Second, took: time.Second, is: []error{context.Canceled}, unfinished: true},
		"fails by itself with an end of a context": {call: func(context.Context, chan struct{}) (int, error) { return 0, context.Canceled },
			is: []error{context.Canceled}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				defer close(release)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if tc.cancel > 0 {
					time.AfterFunc(tc.cancel, cancel)
				}
				start := time.Now()
				value, err := contain.Call(ctx, contain.New(limit), func(ctx context.Context) (int, error) { return tc.call(ctx, release) })
				assert.Equal(t, tc.took, time.Since(start))
				assert.Equal(t, tc.unfinished, errors.Is(err, contain.ErrUnfinished))
				for _, is := range tc.is {
					require.ErrorIs(t, err, is)
				}
				if tc.text != "" {
					require.ErrorContains(t, err, tc.text)
					assert.NotErrorIs(t, err, context.DeadlineExceeded, "it was no deadline of the caller's")
				}
				if name == "returns" {
					require.NoError(t, err)
					assert.Equal(t, 7, value)
				}
			})
		})
	}
}

func TestAPanicSaysWhere(t *testing.T) {
	_, err := contain.Call(t.Context(), contain.New(limit), func(context.Context) (int, error) { panic("oh") })
	var panicked *contain.PanicError
	require.ErrorAs(t, err, &panicked)
	assert.Contains(t, string(panicked.Stack), "contain_test.go")
}

func TestNothingIsCalledForWhoHasGone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := contain.Call(ctx, contain.New(limit), func(context.Context) (int, error) { t.Error("called"); return 0, nil })
	require.ErrorIs(t, err, context.Canceled)
	assert.NotErrorIs(t, err, contain.ErrUnfinished)
}

func TestCallsThatHangAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, release := contain.New(limit), make(chan struct{})
		var made atomic.Int64
		ctx, cancel := context.WithCancel(t.Context())
		call := func() error {
			_, err := contain.Call(ctx, calls, func(context.Context) (int, error) { made.Add(1); <-release; return 0, nil })
			return err
		}
		errs := make(chan error)
		for range contain.MaxAbandoned {
			go func() { errs <- call() }()
		}
		synctest.Wait()
		cancel()
		for range contain.MaxAbandoned {
			require.ErrorIs(t, <-errs, contain.ErrUnfinished)
		}
		ctx = t.Context()
		require.ErrorIs(t, call(), contain.ErrStuck)
		assert.EqualValues(t, contain.MaxAbandoned, made.Load())
		close(release)
		synctest.Wait()
		require.NoError(t, call())
	})
}
