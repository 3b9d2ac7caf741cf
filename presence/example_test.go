package presence_test

import (
	"context"
	"fmt"
	"time"

	"github.com/carillon-rt/carillon/presence"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/memory"
)

func Example() {
	ctx := context.Background()
	tracker := presence.NewTracker(memory.New(), "node-1")
	channel := storage.ChannelID{App: "app", Name: "presence-room"}
	ann := presence.Member{UserID: "ann", Info: []byte(`{"name":"Ann"}`)}

	for _, socketID := range []string{"1.1", "1.2"} {
		err := tracker.Join(ctx, channel, socketID, ann, 100, func(first bool, members []presence.Member) error {
			fmt.Println("joined:", socketID, "new:", first, "members:", len(members))
			return nil
		})
		if err != nil {
			fmt.Println(err)
		}
	}
	left := func(d presence.Departure, err error) {
		fmt.Println("left:", d.Member.UserID, "last:", d.Last, err)
	}
	tracker.Leave(ctx, channel, "ann", "1.1", 0, left)
	// The user has a minute to come back, unless the node stops.
	tracker.Leave(ctx, channel, "ann", "1.2", time.Minute, left)
	tracker.Close(ctx)
	// Output:
	// joined: 1.1 new: true members: 1
	// joined: 1.2 new: false members: 1
	// left: ann last: false <nil>
	// left: ann last: true <nil>
}

func ExampleUserIndex() {
	var watchers presence.UserIndex[string]
	watchers.Add("session-1", "app", "ann", "bob")
	watchers.Add("session-2", "app", "bob")
	fmt.Println(len(watchers.Of("app", "ann")), len(watchers.Of("app", "bob")))
	watchers.Remove("session-1", "app", "ann", "bob")
	fmt.Println(len(watchers.Of("app", "ann")), len(watchers.Of("app", "bob")))
	// Output:
	// 1 2
	// 0 1
}
