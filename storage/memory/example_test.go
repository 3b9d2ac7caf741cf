package memory_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/memory"
)

func Example() {
	ctx := context.Background()
	store := memory.New()
	room := storage.ChannelID{App: "app", Name: "room"}
	opts := storage.AppendOptions{Retention: storage.Retention{Events: 2, Age: time.Hour}}

	var first storage.Position
	for i, text := range []string{"one", "two", "three", "four"} {
		out, err := store.Append(ctx, room, &storage.Event{Name: "message", Channel: "room", Data: []byte(text)}, opts)
		if err != nil {
			fmt.Println(err)
			return
		}
		if i == 0 {
			first = out.Position
		}
	}

	page, err := store.Read(ctx, room, storage.ReadOptions{})
	fmt.Println(len(page.Events), "kept:", string(page.Events[0].Data), string(page.Events[1].Data), err)
	_, err = store.Read(ctx, room, storage.ReadOptions{From: first})
	fmt.Println("gap:", errors.Is(err, storage.ErrGap))
	// Output:
	// 2 kept: three four <nil>
	// gap: true
}

func ExampleStore_Append_idempotent() {
	store := memory.New()
	room := storage.ChannelID{App: "app", Name: "room"}
	opts := storage.AppendOptions{Retention: storage.Retention{Events: 10}, IdempotencyKey: "order-17"}
	for range 2 {
		out, err := store.Append(context.Background(), room, &storage.Event{Name: "order"}, opts)
		fmt.Println(out.Position.Offset, out.Duplicate, err)
	}
	// Output:
	// 1 false <nil>
	// 1 true <nil>
}

func ExampleStore_Join() {
	ctx := context.Background()
	store := memory.New()
	room := storage.ChannelID{App: "app", Name: "presence-room"}
	ann := storage.Member{UserID: "ann"}
	phone := storage.Connection{Node: "node-1", ID: "1.1"}
	laptop := storage.Connection{Node: "node-1", ID: "1.2"}

	for _, conn := range []storage.Connection{phone, laptop} {
		joined, err := store.Join(ctx, room, conn, ann, storage.JoinOptions{MaxMembers: 100})
		fmt.Println(joined.First, joined.Count, err)
	}
	left, err := store.Leave(ctx, room, phone)
	fmt.Println(left.Last, err)
	left, err = store.Leave(ctx, room, laptop)
	fmt.Println(left.Last, err)
	// Output:
	// true 1 <nil>
	// false 1 <nil>
	// false <nil>
	// true <nil>
}
