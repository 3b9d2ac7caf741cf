package broker_test

import (
	"context"
	"fmt"

	"github.com/carillon-rt/carillon/broker"
)

// tally counts what is delivered, and says what is refused.
type tally struct{ delivered int }

func (t *tally) Observe(_ context.Context, o broker.Observation) {
	switch o := o.(type) {
	case broker.EventPublished:
		t.delivered += o.Subscribers
	case broker.PublishRefused:
		fmt.Println(o.Channel, "refused:", o.Err)
	}
}

func ExampleWithObserver() {
	ctx := context.Background()
	seen := new(tally)
	b, err := broker.New(broker.WithObserver(seen),
		broker.WithChannelRules(broker.ChannelRule{Pattern: "polls", Publishers: broker.OnlyClients}))
	if err != nil {
		panic(err)
	}
	defer b.Shutdown(ctx)
	app := b.App("1")
	sub, err := app.Subscribe(ctx, "room")
	if err != nil {
		panic(err)
	}
	defer sub.Close()
	_, _ = app.Publish(ctx, "room", "message", []byte("hello"))
	_, _ = app.Publish(ctx, "polls", "message", []byte("hello"))
	fmt.Println(seen.delivered, "delivered")
	// Output:
	// polls refused: channel "polls" takes events from its subscribers only
	// 1 delivered
}
