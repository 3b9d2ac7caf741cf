package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/carillon-rt/carillon/ratelimit"
)

// Ten connections at once per address, then one each ten seconds.
func Example() {
	rules, err := ratelimit.New(nil, ratelimit.ConnectionsPerIP(0.1, 10))
	if err != nil {
		panic(err)
	}
	refused := 0
	for range 12 {
		err := rules.Check(context.Background(), ratelimit.Request{Action: ratelimit.Connect, IP: "192.0.2.1"})
		if errors.Is(err, ratelimit.ErrLimited) {
			refused++
		}
	}
	fmt.Println(refused, "refused,", rules.Refused()["connections per IP"], "counted")
	fmt.Println("somebody else:", rules.Check(context.Background(), ratelimit.Request{Action: ratelimit.Connect, IP: "192.0.2.2"}))
	// Output:
	// 2 refused, 2 counted
	// somebody else: <nil>
}

// A user may send 4 KB at once to each chat, and 64 bytes per second.
func ExampleRule() {
	rules, err := ratelimit.New(nil, ratelimit.Rule{
		Name:   "chat bytes",
		Action: ratelimit.ClientEvent,
		Limit:  ratelimit.Limit{Rate: 64, Burst: 4096},
		By:     []ratelimit.Field{ratelimit.ByUser, ratelimit.ByChannel},
		Match:  func(req ratelimit.Request) bool { return strings.HasPrefix(req.Channel, "presence-chat-") },
		Cost:   func(req ratelimit.Request) int { return req.Size },
	})
	if err != nil {
		panic(err)
	}
	send := func(channel string, size int) {
		err := rules.Check(context.Background(), ratelimit.Request{Action: ratelimit.ClientEvent, User: "ann", Channel: channel, Size: size})
		var limited *ratelimit.LimitError
		switch {
		case !errors.As(err, &limited):
			fmt.Println("sent")
		case limited.RetryAfter == ratelimit.Never:
			fmt.Println("too large:", err)
		default:
			fmt.Println("too fast:", limited.Rule)
		}
	}
	send("presence-chat-1", 4096)
	send("presence-chat-1", 2048)
	send("presence-chat-2", 2048)
	send("presence-chat-2", 5000)
	send("private-files", 5000)
	// Output:
	// sent
	// too fast: chat bytes
	// sent
	// too large: chat bytes: 5000 at once is more than the rate limit ever lets through: a burst has at most 4096, at 64 per second
	// sent
}

func ExampleNew() {
	_, err := ratelimit.New(nil, ratelimit.ConnectionsPerIP(10, 0))
	fmt.Println(err)
	// Output: rate limit rule "connections per IP": Limit.Burst is 0: it has to be at least 1
}

// A limit without rules or keys, in a struct of one's own.
func ExampleBucket() {
	var searches ratelimit.Bucket
	limit := ratelimit.Limit{Rate: 2, Burst: 3}
	now := time.Now()
	for range 4 {
		d := searches.Take(now, limit, 1)
		fmt.Println(d.OK, d.Remaining, d.RetryAfter)
	}
	// Output:
	// true 2 0s
	// true 1 0s
	// true 0 0s
	// false 0 500ms
}

// slow stands for a store that several processes share.
type slow struct{ ratelimit.Limiter }

func (s slow) Take(ctx context.Context, key string, limit ratelimit.Limit, cost int) (ratelimit.Decision, error) {
	if strings.Contains(key, "broken") {
		return ratelimit.Decision{}, errors.New("store is down")
	}
	return s.Limiter.Take(ctx, key, limit, cost)
}

// While the limiter fails, nothing is refused, but it is counted and told.
func ExampleRules_OnError() {
	rules, err := ratelimit.New(slow{ratelimit.NewMemory(ratelimit.WithMaxKeys(100_000))}, ratelimit.PublishesPerApp(1, 1))
	if err != nil {
		panic(err)
	}
	rules.OnError(func(rule string, err error) { fmt.Printf("%s: %v\n", rule, err) })
	for range 2 {
		fmt.Println(rules.Check(context.Background(), ratelimit.Request{Action: ratelimit.Publish, App: "broken"}))
	}
	fmt.Println(rules.Errors())
	// Output:
	// publishes per app: store is down
	// <nil>
	// publishes per app: store is down
	// <nil>
	// 2
}
