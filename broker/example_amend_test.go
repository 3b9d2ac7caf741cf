package broker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/storage"
)

// An event is changed by its ID. Subscribers are told; the history has the new text, and
// the log both.
func ExampleApp_Edit() {
	ctx := context.Background()
	b := mustNew(broker.WithChannelRules(broker.ChannelRule{Pattern: "room", History: broker.Retention{Events: 100}}))
	defer func() { _ = b.Shutdown(ctx) }()
	app := b.App("1")
	// The ID of a row in a database, which clients find in the data.
	if _, err := app.Publish(ctx, "room", "message", []byte(`{"id":"row-7","text":"helo"}`), broker.WithID("row-7")); err != nil {
		log.Fatal(err)
	}
	done, err := app.Edit(ctx, "room", "row-7", []byte(`{"id":"row-7","text":"hello"}`), broker.OperationID("edit-1"))
	if err != nil {
		log.Fatal(err)
	}
	_, err = app.Edit(ctx, "room", "row-7", []byte(`{"id":"row-7","text":"hallo"}`), broker.IfVersion(0))
	fmt.Println(done.Version, errors.Is(err, storage.ErrStaleVersion))
	for ev := range app.History(ctx, "room") {
		fmt.Println(string(ev.Data), ev.Version)
	}
	for ev := range app.History(ctx, "room", broker.Log()) {
		fmt.Println(ev.Name, string(ev.Data))
	}
	// Output:
	// 1 true
	// {"id":"row-7","text":"hello"} 1
	// message {"id":"row-7","text":"helo"}
	// carillon:edited {"id":"row-7","version":1,"data":"{\"id\":\"row-7\",\"text\":\"hello\"}","operation_id":"edit-1"}
}

// An answer that is read while it is written: who comes late gets all there is so far, and
// then the rest piece by piece.
func ExampleApp_Append() {
	ctx := context.Background()
	b := mustNew(broker.WithChannelRules(broker.ChannelRule{Pattern: "chat", History: broker.Retention{Events: 100}}))
	defer func() { _ = b.Shutdown(ctx) }()
	app := b.App("1")
	answer, err := app.Publish(ctx, "chat", "answer", nil)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := app.Append(ctx, "chat", answer.ID, []byte("The tide ")); err != nil {
		log.Fatal(err)
	}
	late, err := app.Subscribe(ctx, "chat", broker.WithRewind(1))
	if err != nil {
		log.Fatal(err)
	}
	defer late.Close()
	for _, token := range []string{"comes ", "in."} {
		if _, err := app.Append(ctx, "chat", answer.ID, []byte(token)); err != nil {
			log.Fatal(err)
		}
	}
	n := 0
	for ev, err := range late.Events() {
		if err != nil {
			log.Fatal(err)
		}
		if ev.Amends == storage.Extend {
			var said broker.AmendmentData
			if err := json.Unmarshal(ev.Data, &said); err != nil {
				log.Fatal(err)
			}
			fmt.Printf("and %q\n", *said.Text)
		} else {
			fmt.Printf("%q\n", ev.Data)
		}
		if n++; n == 3 {
			break
		}
	}
	for ev := range app.History(ctx, "chat") {
		fmt.Println(string(ev.Data))
	}
	// Output:
	// "The tide "
	// and "comes "
	// and "in."
	// The tide comes in.
}

// Clients amend what a hook lets them: here what they have sent, for an hour.
func ExampleHooks_amend() {
	b := mustNew(broker.WithHooks(broker.Hooks{
		Amend: func(_ context.Context, r *broker.AmendRequest) error {
			r.Allowed = r.Allowed || r.Own() && time.Since(r.Target.Time) < time.Hour
			return nil
		},
	}))
	fmt.Println(b.Shutdown(context.Background()))
	// Output: <nil>
}

func ExampleApp_Search() {
	ctx := context.Background()
	b := mustNew(broker.WithChannelRules(broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: 100}}))
	defer func() { _ = b.Shutdown(ctx) }()
	app := b.App("1")
	for channel, text := range map[string]string{"room-1": "Meet me at the harbour", "room-2": `{"text":"我们在港口见面"}`} {
		if _, err := app.Publish(ctx, channel, "message", []byte(text)); err != nil {
			log.Fatal(err)
		}
	}
	for _, query := range []string{"harb*", "港口"} {
		page, err := app.Search(ctx, "room-*", query)
		if err != nil {
			log.Fatal(err)
		}
		for _, hit := range page.Hits {
			at := hit.Highlights[0]
			fmt.Println(hit.Event.Channel, string(hit.Event.Data[at.Start:at.End]))
		}
	}
	// Output:
	// room-1 harb
	// room-2 港口
}
