package pusher

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/carillon-rt/carillon/internal/contain"
)

// lookups are the program's Apps. A look-up that panics or takes too long fails:
// neither ends anything else.
type lookups struct {
	apps  Apps
	calls *contain.Calls
	log   *slog.Logger

	panics, timeouts atomic.Int64
}

// contained returns apps whose look-ups cannot hang or panic. Those of NewApps never
// do, and are returned as they are.
func contained(apps Apps, timeout time.Duration, log *slog.Logger) Apps {
	if static, ok := apps.(*StaticApps); ok {
		return static
	}
	return &lookups{apps: apps, calls: contain.New(timeout), log: log}
}

// AppByKey implements Apps.
func (l *lookups) AppByKey(ctx context.Context, key string) (*App, error) {
	return l.find(ctx, key, l.apps.AppByKey)
}

// AppByID implements Apps.
func (l *lookups) AppByID(ctx context.Context, id string) (*App, error) {
	return l.find(ctx, id, l.apps.AppByID)
}

func (l *lookups) find(ctx context.Context, name string, by func(context.Context, string) (*App, error)) (*App, error) {
	app, err := contain.Call(ctx, l.calls, func(ctx context.Context) (*App, error) { return by(ctx, name) })
	var panicked *contain.PanicError
	var late *contain.TimeoutError
	switch {
	case errors.As(err, &panicked):
		l.panics.Add(1)
		l.log.Error("looking up an app panicked", "panic", panicked.Value, "stack", string(panicked.Stack))
	case errors.As(err, &late):
		l.timeouts.Add(1)
	case err == nil && app == nil:
		return nil, ErrUnknownApp // what a look-up should have said
	}
	return app, err
}

func (l *lookups) stats() (panics, timeouts int64) { return l.panics.Load(), l.timeouts.Load() }
