package pusher

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
)

// Shutdown ends the handler, its broker and the servers that serve it, all at once:
// servers wait for requests that only the broker ends, streams for one, and the
// broker for clients that the servers still let in. Servers stop listening, the
// broker does what its Shutdown says, and requests under way may finish.
//
// What has not ended when ctx does is cut off, handlers of the program's own
// included, whose requests then fail. Shutdown returns broker.ShutdownGrace after
// that at the latest, with an error that says which of them was cut off and wraps the
// cause. Without servers it is the broker's Shutdown. It may be called again, and
// concurrently: each call waits for the end.
//
// Where signals begin it, let a second one end the program at once, by calling the
// stop function of signal.NotifyContext before Shutdown.
func (h *Handler) Shutdown(ctx context.Context, servers ...*http.Server) error {
	errs := make([]error, len(servers)+1)
	var ending sync.WaitGroup
	for i, srv := range servers {
		ending.Go(func() {
			if err := srv.Shutdown(ctx); err != nil {
				errs[i] = fmt.Errorf("shutdown of the server: %w", errors.Join(err, srv.Close()))
			}
		})
	}
	ending.Go(func() {
		if err := h.broker.Shutdown(ctx); err != nil {
			errs[len(servers)] = fmt.Errorf("shutdown of the broker: %w", err)
		}
	})
	ending.Wait()
	return errors.Join(errs...)
}

// drain stops all transports at once. Connections that are left are cut off when ctx
// ends.
func (h *Handler) drain(ctx context.Context) error {
	h.pendingDials.close()
	var errs [3]error
	var stopping sync.WaitGroup
	for i, shutdown := range [...]func(context.Context) error{h.sockets.Shutdown, h.xhr.Shutdown, h.feeds.Shutdown} {
		stopping.Go(func() { errs[i] = shutdown(ctx) })
	}
	stopping.Wait()
	h.wheel.Stop()
	return errors.Join(errs[:]...)
}
