package pusher

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/puzpuzpuz/xsync/v3"

	"github.com/carillon-rt/carillon/broker"
)

// appsFresh is how long what is known of an app holds for its webhooks. The app is
// then looked up again with the next thing that happens on its channels.
const appsFresh = 10 * time.Second

// webhookApps knows which apps have webhooks, and for what, so that nothing that
// happens has to wait for a look-up, and that most of it costs nothing where nobody
// is told.
type webhookApps struct {
	apps Apps
	log  *slog.Logger
	// background runs a look-up on a goroutine, unless webhooks are shut down.
	background func(func(context.Context))

	known *xsync.MapOf[string, *knownApp]
	// failing is set while apps cannot be looked up, so that it is logged once.
	failing atomic.Bool
}

// knownApp is what was last heard of an app.
type knownApp struct {
	app *App // nil if there is no such app, or it could never be looked up
	// limits are those that the app was given, with the defaults.
	given  Limits
	limits *Limits
	err    error // why it could not
	wants  uint32
	at     time.Time
	again  atomic.Bool // it is being looked up again
}

// hookOf says which of the broker's hooks leads to an event.
var hookOf = map[string]broker.InformingHook{
	WebhookChannelOccupied:   broker.HookChannelOccupied,
	WebhookChannelVacated:    broker.HookChannelVacated,
	WebhookMemberAdded:       broker.HookMemberJoined,
	WebhookMemberRemoved:     broker.HookMemberLeft,
	WebhookClientEvent:       broker.HookClientEventSent,
	WebhookCacheMiss:         broker.HookCacheMissed,
	WebhookSubscriptionCount: broker.HookSubscriptionCount,
}

func newWebhookApps(apps Apps, log *slog.Logger, background func(func(context.Context))) *webhookApps {
	return &webhookApps{apps: apps, log: log, background: background, known: xsync.NewMapOf[string, *knownApp]()}
}

// learn notes what a look-up for something else has found: before anything happens on
// an app's channels, one of its clients has connected and the app was looked up.
func (w *webhookApps) learn(app *App) *knownApp {
	k, ok := w.known.Load(app.ID)
	if ok && k.app == app && k.given == app.Limits && time.Since(k.at) < appsFresh/2 {
		return k
	}
	old := k
	k = &knownApp{app: app, given: app.Limits, at: time.Now()}
	if ok && old.limits != nil && old.given == app.Limits {
		k.limits = old.limits // for all connections of the app
	} else {
		limits := app.Limits.withDefaults()
		k.limits = &limits
	}
	for i := range app.Webhooks {
		names := app.Webhooks[i].Events
		if len(names) == 0 {
			names = WebhookEvents()
		}
		for _, name := range names {
			k.wants |= 1 << hookOf[name]
		}
	}
	// The opposite of an event that is held undoes it, whichever of the two is wanted.
	for _, pair := range [...]uint32{
		1<<broker.HookChannelOccupied | 1<<broker.HookChannelVacated, 1<<broker.HookMemberJoined | 1<<broker.HookMemberLeft,
	} {
		if k.wants&pair != 0 {
			k.wants |= pair
		}
	}
	w.known.Store(app.ID, k)
	return k
}

// latest returns an app as the last look-up has found it; nil if none has.
func (w *webhookApps) latest(id string) *App {
	if k, ok := w.known.Load(id); ok {
		return k.app
	}
	return nil
}

// wants is broker.Hooks.Wants. It never waits.
func (w *webhookApps) wants(id string, hook broker.InformingHook) bool {
	k, ok := w.known.Load(id)
	if !ok {
		return true // nobody has connected by the handler: find has to look it up
	}
	if time.Since(k.at) >= appsFresh && !k.again.Swap(true) {
		w.background(func(ctx context.Context) { w.refresh(ctx, id, k) })
	}
	return k.wants&(1<<hook) != 0
}

// find returns the app, or nil if it has no webhooks.
func (w *webhookApps) find(ctx context.Context, id string) (*App, error) {
	k, ok := w.known.Load(id)
	if !ok {
		var err error
		if k, err = w.lookUp(ctx, id, nil); err != nil {
			return nil, err
		}
	}
	if k.err != nil {
		return nil, k.err
	}
	if k.app == nil || len(k.app.Webhooks) == 0 {
		return nil, nil
	}
	return k.app, nil
}

// refresh looks an app up again. Until that succeeds, what was known holds.
func (w *webhookApps) refresh(ctx context.Context, id string, k *knownApp) {
	_, _ = w.lookUp(ctx, id, k)
}

// lookUp asks for an app of which old is known, and notes the outcome.
func (w *webhookApps) lookUp(ctx context.Context, id string, old *knownApp) (*knownApp, error) {
	app, err := w.apps.AppByID(ctx, id)
	if err == nil {
		w.failing.Store(false)
		return w.learn(app), nil
	}
	k := &knownApp{at: time.Now()}
	if errors.Is(err, ErrUnknownApp) {
		err = nil
	} else {
		if ctx.Err() == nil && !w.failing.Swap(true) {
			w.log.Error("looking up an app for its webhooks failed", "app", id, "error", err)
		}
		if k.err, k.wants = err, ^uint32(0); old != nil && old.err == nil {
			k.app, k.err, k.wants = old.app, nil, old.wants
		}
	}
	w.known.Store(id, k)
	return k, err
}
