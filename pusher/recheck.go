package pusher

import (
	"context"
	"errors"
	"fmt"
)

// Recheck looks up the apps of all connections again, and closes the connections of
// those that are gone (4001) or disabled (4003), after which pusher-js does not come
// back; feeds end. Call it after such a change: by themselves, connections outlive
// their app. It returns how many it has closed.
//
// Apps whose look-up fails are left alone; an error names one of them. It is safe for
// concurrent use.
func (h *Handler) Recheck(ctx context.Context) (closed int, err error) {
	verdicts := make(map[string]*closeError)
	for s := range h.broker.Sessions() {
		verdict, asked := verdicts[s.App()]
		if !asked {
			app, e := h.appByID(ctx, s.App())
			switch {
			case errors.Is(e, ErrUnknownApp):
				verdict = &closeError{4001, "app does not exist any more"}
			case e != nil:
				err = fmt.Errorf("look-up of app %q: %w", s.App(), e)
			case app.Disabled:
				verdict = &closeError{4003, "app is disabled"}
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
