package broker

import (
	"context"
	"slices"
)

// decides reports whether any set of hooks has the hook which pick returns.
func decides[T any](b *Broker, pick func(*Hooks) func(context.Context, *T) error) bool {
	return slices.ContainsFunc(b.hookSets(), func(n *notifier) bool { return pick(n.hooks) != nil })
}

// decide asks each set of hooks in turn, until one refuses.
func decide[T any](ctx context.Context, b *Broker, pick func(*Hooks) func(context.Context, *T) error, req *T) error {
	for _, n := range b.hookSets() {
		if f := pick(n.hooks); f != nil {
			if err := ask(ctx, b, f, req); err != nil {
				return b.refusal(err)
			}
		}
	}
	return nil
}

// ask calls a deciding hook. One that panics refuses.
func ask[T any](ctx context.Context, b *Broker, f func(context.Context, *T) error, req *T) (err error) {
	defer b.caught("hook", &err)
	return f(ctx, req)
}
