package server

import (
	"context"
	"sync/atomic"

	"github.com/carillon-rt/carillon/pusher"
)

// apps is a list of apps that is replaced as a whole.
type apps struct {
	list atomic.Pointer[pusher.StaticApps]
}

func (a *apps) set(all []pusher.App) error {
	list, err := pusher.NewApps(all...)
	if err == nil {
		a.list.Store(list)
	}
	return err
}

// AppByKey implements pusher.Apps.
func (a *apps) AppByKey(ctx context.Context, key string) (*pusher.App, error) {
	return a.list.Load().AppByKey(ctx, key)
}

// AppByID implements pusher.Apps.
func (a *apps) AppByID(ctx context.Context, id string) (*pusher.App, error) {
	return a.list.Load().AppByID(ctx, id)
}
