package broker

import (
	"context"
	"slices"
)

// decides reports whether any set of hooks has the hook which pick returns.
func decides[T any](h *hookSets, pick func(*Hooks) func(context.Context, *T) error) bool {
	return slices.ContainsFunc(h.sets(), func(n *hookSet) bool { return pick(n.hooks) != nil })
}

// decide asks each set of hooks in turn, until one refuses.
func decide[T any](ctx context.Context, h *hookSets, pick func(*Hooks) func(context.Context, *T) error, req *T) error {
	for _, n := range h.sets() {
		if f := pick(n.hooks); f != nil {
			if err := ask(ctx, h.faults, f, req); err != nil {
				return h.faults.refusal(err)
			}
		}
	}
	return nil
}

// ask calls a deciding hook. One that panics refuses.
func ask[T any](ctx context.Context, faults *faults, f func(context.Context, *T) error, req *T) (err error) {
	defer faults.caught("hook", &err)
	return f(ctx, req)
}
