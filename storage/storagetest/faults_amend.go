package storagetest

import (
	"context"
	"errors"
	"fmt"

	"github.com/carillon-rt/carillon/storage"
)

func (f *Faults) amender() (storage.Amend, error) {
	if a, ok := f.history.(storage.Amend); ok {
		return a, nil
	}
	return nil, fmt.Errorf("%T amends nothing: %w", f.history, errors.ErrUnsupported)
}

// Target implements storage.Amend.
func (f *Faults) Target(ctx context.Context, ch storage.ChannelID, id string) (ev storage.Event, err error) {
	amender, err := f.amender()
	if err != nil {
		return storage.Event{}, err
	}
	err = f.do(ctx, f.fault(Call{Op: OpTarget, Channel: ch}), func(ctx context.Context) (err error) {
		ev, err = amender.Target(ctx, ch, id)
		return err
	})
	if err != nil {
		return storage.Event{}, err
	}
	return ev, nil
}

// Amend implements storage.Amend.
func (f *Faults) Amend(ctx context.Context, ch storage.ChannelID, a storage.Amendment) (storage.Amended, error) {
	amender, err := f.amender()
	if err != nil {
		return storage.Amended{}, err
	}
	own := *a.Event // which may be read late
	a.Event = &own
	var out storage.Amended
	err = f.do(ctx, f.fault(Call{Op: OpAmend, Channel: ch, Event: &own}), func(ctx context.Context) (err error) {
		got, err := amender.Amend(ctx, ch, a)
		if err == nil {
			out = got
		}
		return err
	})
	if err != nil {
		return storage.Amended{}, err
	}
	return out, nil
}

// Search implements storage.Search.
func (f *Faults) Search(ctx context.Context, q storage.SearchQuery) (page storage.SearchPage, err error) {
	searcher, ok := f.history.(storage.Search)
	if !ok {
		return storage.SearchPage{}, fmt.Errorf("%T finds nothing: %w", f.history, errors.ErrUnsupported)
	}
	err = f.do(ctx, f.fault(Call{Op: OpSearch, Channel: storage.ChannelID{App: q.App}}), func(ctx context.Context) (err error) {
		page, err = searcher.Search(ctx, q)
		return err
	})
	if err != nil {
		return storage.SearchPage{}, err
	}
	return page, nil
}
