package bbolt_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/examples/bbolt"
)

// What was published before a restart is there after it, and who left off there goes on.
func Example() {
	folder, err := os.MkdirTemp("", "bbolt")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	file := filepath.Join(folder, "events.bolt")
	ctx := context.Background()

	run := func(use func(*broker.App) error) error {
		store, err := bbolt.Open(file)
		if err != nil {
			return err
		}
		defer func() { _ = store.Close() }() // after the broker's last append
		b, err := broker.New(broker.WithHistory(store), broker.WithChannelRules(broker.ChannelRule{
			Pattern: "room-*", History: broker.Retention{Events: 100},
		}))
		if err != nil {
			return err
		}
		defer func() { _ = b.Shutdown(ctx) }()
		return use(b.App("1"))
	}

	var seen broker.Published
	err = run(func(app *broker.App) (err error) {
		if seen, err = app.Publish(ctx, "room-1", "message", []byte("seen")); err != nil {
			return err
		}
		_, err = app.Publish(ctx, "room-1", "message", []byte("missed"))
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	err = run(func(app *broker.App) error {
		sub, err := app.Subscribe(ctx, "room-1", broker.After(seen.Position))
		if err != nil {
			return err
		}
		defer sub.Close()
		for ev, err := range sub.Events() {
			fmt.Println(string(ev.Data), err)
			break
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: missed <nil>
}
