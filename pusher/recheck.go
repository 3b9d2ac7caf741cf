package pusher

import (
	"context"
	"errors"
	"fmt"

	"github.com/carillon-rt/carillon/broker"
)

// Recheck looks up the apps of all connections again, and closes the connections of
// those that are gone (4001) or disabled (4003), after which pusher-js does not come
// back; feeds end. For connections of the others, the secrets that it has found count from
// then on, and App.DisableClientEvents; all else is as it was when they began. Call it after such a change: by themselves, connections outlive their app. It
// returns how many it has closed, without those that are just being opened, which it
// closes as well.
//
// Apps whose look-up fails are left alone; an error names one of them. It is safe for
// concurrent use.
func (h *Handler) Recheck(ctx context.Context) (closed int, err error) {
	// Who has looked up an app before this, and is not among the sessions yet, looks again.
	h.rechecks.Add(1)
	verdicts := make(map[string]*closeError)
	for s := range h.broker.Sessions() {
		verdict, asked := verdicts[s.App()]
		if !asked {
			var e error
			if verdict, e = h.verdict(ctx, s.App()); e != nil {
				err = e
			}
			verdicts[s.App()] = verdict
		}
		if verdict != nil {
			s.Conn().Close(verdict.code, verdict.message)
			closed++
		}
	}
	return closed, err
}

// verdict says with what the connections of an app are to be closed; nil if they stay.
func (h *Handler) verdict(ctx context.Context, id string) (*closeError, error) {
	app, err := h.appByID(ctx, id)
	switch {
	case errors.Is(err, ErrUnknownApp):
		return &closeError{4001, "app does not exist any more"}, nil
	case err != nil:
		return nil, fmt.Errorf("look-up of app %q: %w", id, err)
	case app.Disabled:
		return &closeError{4003, "app is disabled"}, nil
	}
	return nil, nil
}

// recheckNew does for a session that has just begun what Recheck would have, if that was
// called since there were so many calls of it.
func (h *Handler) recheckNew(ctx context.Context, s *broker.Session, calls uint64) {
	if h.rechecks.Load() == calls {
		return
	}
	if verdict, err := h.verdict(ctx, s.App()); err == nil && verdict != nil {
		s.Conn().Close(verdict.code, verdict.message)
	}
}
