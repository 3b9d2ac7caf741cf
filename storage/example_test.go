package storage_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/memory"
)

// A subscriber who returns asks for what came after the last event it saw.
func ExampleHistory() {
	ctx := context.Background()
	var history storage.History = memory.New()
	room := storage.ChannelID{App: "app", Name: "room"}
	keep := storage.AppendOptions{Retention: storage.Retention{Events: 100}}

	seen, _ := history.Append(ctx, room, &storage.Event{Name: "message", Data: []byte("hello")}, keep)
	_, _ = history.Append(ctx, room, &storage.Event{Name: "message", Data: []byte("again")}, keep)

	page, err := history.Read(ctx, room, storage.ReadOptions{From: seen.Position})
	for _, ev := range page.Events {
		fmt.Println(ev.Position.Offset, string(ev.Data))
	}
	fmt.Println(err)
	// Output:
	// 2 again
	// <nil>
}

func ExampleGapError() {
	ctx := context.Background()
	history := memory.New()
	room := storage.ChannelID{App: "app", Name: "room"}
	_, err := history.Read(ctx, room, storage.ReadOptions{From: storage.Position{Epoch: storage.NewEpoch(storage.Epoch{}), Offset: 7}})

	if gap, ok := errors.AsType[*storage.GapError](err); ok {
		fmt.Println("start afresh:", errors.Is(err, storage.ErrGap), gap.From.Offset)
	}
	// Output: start afresh: true 7
}

func ExampleMemberLimitError() {
	ctx := context.Background()
	presence := memory.New()
	room := storage.ChannelID{App: "app", Name: "presence-room"}
	for _, id := range []string{"ann", "bob"} {
		_, err := presence.Join(ctx, room, storage.Connection{Node: "node-1", ID: id}, storage.Member{UserID: id}, storage.JoinOptions{MaxMembers: 1})
		fmt.Println(err)
	}
	// Output:
	// <nil>
	// channel "presence-room": presence channel is full: the limit is 1 members
}

// Positions are ordered, and travel as text.
func ExamplePosition() {
	ctx := context.Background()
	history := memory.New()
	room := storage.ChannelID{App: "app", Name: "room"}
	before, _ := storage.LatestOf(ctx, history, room)
	first, _ := history.Append(ctx, room, &storage.Event{Name: "message"}, storage.AppendOptions{})
	fmt.Println(before.IsZero(), before.Before(first.Position))

	parsed, err := storage.ParsePosition(first.Position.String())
	fmt.Println(parsed == first.Position, err)
	_, err = storage.ParsePosition("17")
	fmt.Println(err)
	// Output:
	// false true
	// true <nil>
	// "17" is not a position
}

// Whoever is told of events sees whether one was missed.
func ExampleEvent_Follows() {
	ctx := context.Background()
	var history storage.History = memory.New()
	room := storage.ChannelID{App: "app", Name: "room"}
	last, _ := storage.LatestOf(ctx, history, room)
	opts := storage.AppendOptions{Retention: storage.Retention{Events: 10}}
	for _, text := range []string{"one", "two"} {
		_, _ = history.Append(ctx, room, &storage.Event{Name: "message", Data: []byte(text)}, opts)
	}
	page, _ := history.Read(ctx, room, storage.ReadOptions{})
	one, two := &page.Events[0], &page.Events[1]
	fmt.Println(one.Follows(last), two.Follows(last), two.Follows(one.Position))
	// Output: true false true
}

// A batch is one call, and each of its events succeeds or fails by itself.
func ExampleHistory_AppendBatch() {
	ctx := context.Background()
	history := memory.New()
	keep := storage.AppendOptions{Retention: storage.Retention{Events: 10}}
	var batch []storage.AppendRequest
	for _, name := range []string{"red", "blue", "red"} {
		batch = append(batch, storage.AppendRequest{Channel: storage.ChannelID{App: "app", Name: name},
			Event: &storage.Event{Name: "message"}, Options: keep})
	}
	for _, r := range history.AppendBatch(ctx, batch) {
		fmt.Println(r.Position.Offset, r.Err)
	}
	// Output:
	// 1 <nil>
	// 1 <nil>
	// 2 <nil>
}

// What one process does to a shared store is told to the others.
func ExampleWatch() {
	ctx, cancel := context.WithCancel(context.Background())
	store := memory.New(memory.WithShared())
	room := storage.ChannelID{App: "app", Name: "room"}
	ready, done := make(chan bool), make(chan bool)
	go func() {
		defer close(done)
		_ = store.Watch(ctx, func(c storage.Commit) {
			if c.Event == nil {
				close(ready) // it began: look at the latest positions
				return
			}
			fmt.Println(c.Channel, c.Latest.Offset, string(c.Event.Data))
		})
	}()
	<-ready
	_, _ = store.Append(ctx, room, &storage.Event{Name: "message", Data: []byte("hello")}, storage.AppendOptions{})
	cancel()
	<-done
	// Output: app/room 1 hello
}
