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
