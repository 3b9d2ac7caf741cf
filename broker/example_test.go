package broker_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/ratelimit"
)

func mustNew(opts ...broker.Option) *broker.Broker {
	b, err := broker.New(opts...)
	if err != nil {
		log.Fatal(err)
	}
	return b
}

func Example() {
	ctx := context.Background()
	b := mustNew(broker.WithChannelRules(broker.ChannelRule{Pattern: "room", History: broker.Retention{Events: 100}}))
	defer func() { _ = b.Shutdown(ctx) }()
	app := b.App("1")
	if _, err := app.Publish(ctx, "room", "message", []byte("hello")); err != nil {
		log.Fatal(err)
	}
	for ev, err := range app.History(ctx, "room") {
		fmt.Println(ev.Name, string(ev.Data), ev.Position.Offset, err)
	}
	// Output: message hello 1 <nil>
}

func ExampleApp_Subscribe() {
	ctx := context.Background()
	b := mustNew(broker.WithChannelRules(broker.ChannelRule{Pattern: "room", History: broker.Retention{Events: 100}}))
	defer func() { _ = b.Shutdown(ctx) }()
	app := b.App("1")
	first, err := app.Publish(ctx, "room", "message", []byte("one"))
	if err != nil {
		log.Fatal(err)
	}
	if _, err := app.Publish(ctx, "room", "message", []byte("two")); err != nil {
		log.Fatal(err)
	}
	// After resumes: first what the history has since, then what is published,
	// each event once.
	sub, err := app.Subscribe(ctx, "room", broker.After(first.Position))
	if err != nil {
		log.Fatal(err)
	}
	defer sub.Close()
	for ev, err := range sub.Events() {
		fmt.Println(string(ev.Data), err)
		if string(ev.Data) == "three" {
			break
		}
		if _, err := app.Publish(ctx, "room", "message", []byte("three")); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// two <nil>
	// three <nil>
}

// A page of older events goes on from where the last one ended.
func ExampleApp_History() {
	ctx := context.Background()
	b := mustNew(broker.WithChannelRules(broker.ChannelRule{Pattern: "room", History: broker.Retention{Events: 100}}))
	defer func() { _ = b.Shutdown(ctx) }()
	app := b.App("1")
	for _, text := range []string{"one", "two", "three", "four"} {
		if _, err := app.Publish(ctx, "room", "message", []byte(text)); err != nil {
			log.Fatal(err)
		}
	}
	var next broker.Position // the zero Position reads from the newest
	for range 2 {
		for ev, err := range app.History(ctx, "room", broker.Backward(), broker.From(next), broker.AtMost(2)) {
			if err != nil {
				log.Fatal(err)
			}
			fmt.Println(string(ev.Data))
			next = ev.Position
		}
		fmt.Println("--")
	}
	// Output:
	// four
	// three
	// --
	// two
	// one
	// --
}

func ExampleTopic() {
	type Message struct {
		From string `json:"from"`
		Text string `json:"text"`
	}
	ctx := context.Background()
	b := mustNew(broker.WithChannelRules(broker.ChannelRule{Pattern: "room", History: broker.Retention{Events: 1}}))
	defer func() { _ = b.Shutdown(ctx) }()
	topic, err := broker.NewTopic[Message](b.App("1"), "room", "message")
	if err != nil {
		log.Fatal(err)
	}
	published, err := topic.Publish(ctx, Message{From: "ann", Text: "hello"})
	if err != nil {
		log.Fatal(err)
	}
	before := broker.Position{Epoch: published.Position.Epoch}
	sub, err := topic.Subscribe(ctx, broker.After(before))
	if err != nil {
		log.Fatal(err)
	}
	defer sub.Close()
	for ev, err := range sub.Events() {
		fmt.Println(ev.Value.From, ev.Value.Text, ev.Position.Offset, err)
		break
	}
	// Output: ann hello 1 <nil>
}

func ExampleIdempotencyKey() {
	ctx := context.Background()
	b := mustNew(broker.WithChannelRules(broker.ChannelRule{Pattern: "orders", History: broker.Retention{Events: 100}}))
	defer func() { _ = b.Shutdown(ctx) }()
	for range 2 {
		p, err := b.App("1").Publish(ctx, "orders", "paid", []byte("42"), broker.IdempotencyKey("order-42"))
		fmt.Println(p.Position.Offset, p.Duplicate, err)
	}
	// Output:
	// 1 false <nil>
	// 1 true <nil>
}

func ExampleHooks() {
	ctx := context.Background()
	b := mustNew(broker.WithHooks(broker.Hooks{
		Publish: func(_ context.Context, r *broker.PublishRequest) error {
			if r.Channel == "archive" {
				return broker.Refuse(403, "the archive takes no more events")
			}
			return nil
		},
	}))
	defer func() { _ = b.Shutdown(ctx) }()
	_, err := b.App("1").Publish(ctx, "archive", "message", []byte("late"))
	fmt.Println(err)
	// Output: the archive takes no more events
}

// Hooks that inform save a program from polling.
func ExampleHooks_inform() {
	b := mustNew(broker.WithHooks(broker.Hooks{
		MemberLeft: func(_ context.Context, m broker.MemberChange) {
			fmt.Println(m.Member.UserID, "left", m.Channel)
		},
		UserOffline: func(_ context.Context, u broker.UserChange) {
			fmt.Println(u.UserID, "was last seen at", u.Time)
		},
		ChannelVacated: func(_ context.Context, c broker.ChannelChange) {
			fmt.Println("nobody listens to", c.Channel)
		},
	}))
	fmt.Println(b.Shutdown(context.Background()))
	// Output: <nil>
}

// A record of what the server side publishes, wherever in the program it does so.
func ExampleHooks_published() {
	ctx := context.Background()
	b := mustNew(broker.WithHooks(broker.Hooks{
		Published: func(_ context.Context, c broker.EventChange) {
			fmt.Println(c.App, c.Event.Channel, c.Event.Name, string(c.Event.Data))
		},
	}))
	if _, err := b.App("1").Publish(ctx, "orders", "paid", []byte("42")); err != nil {
		log.Fatal(err)
	}
	fmt.Println(b.Shutdown(ctx)) // waits for hooks
	// Output:
	// 1 orders paid 42
	// <nil>
}

// The first rule that matches a channel decides all of it.
func ExampleChannelRule() {
	b := mustNew(broker.WithChannelRules(
		broker.ChannelRule{Pattern: "presence-stage-*", MaxMembers: 5000, Publishers: broker.OnlyServer},
		broker.ChannelRule{
			Pattern:    "presence-*",
			LeaveGrace: 3 * time.Second, // a reload is no leave and join
			History:    broker.Retention{Events: 100, Age: 24 * time.Hour},
			Rewind:     20,
		},
		broker.ChannelRule{Pattern: "cache-*", CacheTTL: time.Hour},
	))
	fmt.Println(b.Shutdown(context.Background()))
	// Output: <nil>
}

// Clients that come back read an hour of what they have missed, and of announcements only
// those who are signed in read any; a hook makes exceptions.
func ExampleReach() {
	b := mustNew(broker.WithChannelRules(
		broker.ChannelRule{Pattern: "presence-team-*", History: broker.Retention{Events: 1000},
			Reach: broker.Reach{Events: 200, Age: time.Hour}},
		broker.ChannelRule{Pattern: "announcements", History: broker.Retention{Events: 100},
			Reach: broker.Reach{Readers: broker.OnlyUsers}},
	))
	b.AddHooks(broker.Hooks{Subscribe: func(_ context.Context, r *broker.SubscribeRequest) error {
		if user := r.Session.User(); user != nil && user.ID == "archivist" {
			r.Reach = broker.Reach{} // all that is kept
		}
		return nil
	}})
	fmt.Println(b.Shutdown(context.Background()))
	// Output: <nil>
}

func ExampleWithRateLimits() {
	limits, err := ratelimit.New(nil, ratelimit.ConnectionsPerIP(5, 20), ratelimit.PublishesPerApp(1000, 2000))
	if err != nil {
		log.Fatal(err)
	}
	b := mustNew(broker.WithRateLimits(limits))
	fmt.Println(b.Shutdown(context.Background()))
	// Output: <nil>
}

func ExampleWithChannelRules() {
	_, err := broker.New(broker.WithChannelRules(broker.ChannelRule{
		Pattern: "presence-room-*", History: broker.Retention{Events: 10, Age: time.Hour}, Rewind: 20,
	}))
	fmt.Println(err)
	// Output: broker: rules[0].Rewind is more than the history keeps: 20, the limit is 10
}
