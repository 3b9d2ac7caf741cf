package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/storage/sqlite"
)

// A message is a row of the program's own, and an event of its channel: both, or
// neither.
func ExampleStore_AppendTx() {
	dir, err := os.MkdirTemp("", "carillon")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()

	store, err := sqlite.Open(filepath.Join(dir, "chat.db"))
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	if _, err := store.DB().ExecContext(ctx, `CREATE TABLE message (id TEXT PRIMARY KEY, room TEXT, text TEXT)`); err != nil {
		log.Fatal(err)
	}
	b, err := broker.New(broker.WithHistory(store), broker.WithChannelRules(
		broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: 1000}}))
	if err != nil {
		log.Fatal(err)
	}
	defer b.Shutdown(ctx)
	app := b.App("chat")
	sub, err := app.Subscribe(ctx, "room")
	if err != nil {
		log.Fatal(err)
	}
	defer sub.Close()

	post := func(text string, after func() error) error {
		// Outside of the transaction, which others wait for.
		prepared, err := app.Prepare(ctx, "room", "message", []byte(text))
		if err != nil {
			return err
		}
		return store.InTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, `INSERT INTO message VALUES (?, ?, ?)`, prepared.Event.ID, "room", text); err != nil {
				return err
			}
			if _, err := store.AppendTx(ctx, tx, prepared); err != nil {
				return err
			}
			return after()
		})
	}
	fmt.Println(post("never mind", func() error { return errors.New("second thoughts") }))
	fmt.Println(post("hello", func() error { return nil }))

	for ev, err := range sub.Events() {
		if err != nil {
			log.Fatal(err)
		}
		var text string
		if err := store.DB().QueryRowContext(ctx, `SELECT text FROM message WHERE id = ?`, ev.ID).Scan(&text); err != nil {
			log.Fatal(err)
		}
		fmt.Println("event:", string(ev.Data), "row:", text, "offset:", ev.Position.Offset)
		break
	}
	// Output:
	// second thoughts
	// <nil>
	// event: hello row: hello offset: 1
}
