package broker

import (
	"context"
	"errors"
	"fmt"

	"github.com/carillon-rt/carillon/storage"
)

// UnsupportedError says that the store of events cannot do what was asked for. It wraps
// errors.ErrUnsupported.
type UnsupportedError struct {
	// Operation is what was asked for, such as "history search".
	Operation string
	// Store is the type of the store.
	Store string
}

// Error implements error.
func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("%s: the store, a %s, has none", e.Operation, e.Store)
}

// Unwrap makes errors.Is(err, errors.ErrUnsupported) true.
func (e *UnsupportedError) Unwrap() error { return errors.ErrUnsupported }

// Target implements storage.Amend.
func (h *historyCalls) Target(ctx context.Context, ch ChannelID, id string) (ev Event, err error) {
	store, ok := h.store.(storage.Amend)
	if !ok {
		return Event{}, &UnsupportedError{string(opAmend), fmt.Sprintf("%T", h.store)}
	}
	if h.calls != nil {
		return callStore(ctx, &h.storeCalls, opTarget, ch, func(ctx context.Context) (Event, error) {
			return store.Target(ctx, ch, id)
		})
	}
	call := h.begin(ctx, opTarget, ch)
	defer h.end(&call, &err)
	return store.Target(call.ctx, ch, id)
}

// Amend implements storage.Amend.
func (h *historyCalls) Amend(ctx context.Context, ch ChannelID, a storage.Amendment) (out storage.Amended, err error) {
	store, ok := h.store.(storage.Amend)
	if !ok {
		return storage.Amended{}, &UnsupportedError{string(opAmend), fmt.Sprintf("%T", h.store)}
	}
	if h.calls != nil {
		return callStore(ctx, &h.storeCalls, opAmend, ch, func(ctx context.Context) (storage.Amended, error) {
			return store.Amend(ctx, ch, a)
		})
	}
	call := h.begin(ctx, opAmend, ch)
	defer h.end(&call, &err)
	return store.Amend(call.ctx, ch, a)
}

// Search implements storage.Search.
func (h *historyCalls) Search(ctx context.Context, q storage.SearchQuery) (page storage.SearchPage, err error) {
	store, ok := h.store.(storage.Search)
	if !ok {
		return storage.SearchPage{}, &UnsupportedError{string(opSearch), fmt.Sprintf("%T", h.store)}
	}
	if h.calls != nil {
		return callStore(ctx, &h.storeCalls, opSearch, ChannelID{App: q.App}, func(ctx context.Context) (storage.SearchPage, error) {
			return store.Search(ctx, q)
		})
	}
	call := h.begin(ctx, opSearch, ChannelID{App: q.App})
	defer h.end(&call, &err)
	return store.Search(call.ctx, q)
}
