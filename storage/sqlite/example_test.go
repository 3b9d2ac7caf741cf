package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/sqlite"
)

// What was published is there after a restart.
func ExampleOpen() {
	dir, err := os.MkdirTemp("", "carillon")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "carillon.db")
	ctx := context.Background()

	serve := func(text string) {
		store, err := sqlite.Open(path)
		if err != nil {
			log.Fatal(err)
		}
		defer store.Close()
		b, err := broker.New(broker.WithHistory(store), broker.WithPresence(store), broker.WithChannelRules(
			broker.ChannelRule{Pattern: "news", History: broker.Retention{Events: 100}}))
		if err != nil {
			log.Fatal(err)
		}
		defer b.Shutdown(ctx)
		if _, err := b.App("1").Publish(ctx, "news", "headline", []byte(text)); err != nil {
			log.Fatal(err)
		}
		page, err := store.Read(ctx, storage.ChannelID{App: "1", Name: "news"}, storage.ReadOptions{})
		if err != nil {
			log.Fatal(err)
		}
		for _, ev := range page.Events {
			fmt.Println(string(ev.Data))
		}
	}
	serve("before")
	serve("after")
	// Output:
	// before
	// before
	// after
}

// A backup is a file to be opened like any other. Positions up to it continue, later
// ones are a gap.
func ExampleStore_Backup() {
	dir, err := os.MkdirTemp("", "carillon")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx, news := context.Background(), storage.ChannelID{App: "1", Name: "news"}
	open := func(name string) *sqlite.Store {
		store, err := sqlite.Open(filepath.Join(dir, name))
		if err != nil {
			log.Fatal(err)
		}
		return store
	}
	publish := func(store *sqlite.Store, id string) storage.Position {
		out, err := store.Append(ctx, news, &storage.Event{ID: id, Name: "headline"},
			storage.AppendOptions{Retention: storage.Retention{Events: 100}})
		if err != nil {
			log.Fatal(err)
		}
		return out.Position
	}

	store := open("carillon.db")
	kept := publish(store, "1")
	if err := store.Backup(ctx, filepath.Join(dir, "backup.db")); err != nil {
		log.Fatal(err)
	}
	lost := publish(store, "2")
	store.Close()

	restored := open("backup.db")
	defer restored.Close()
	publish(restored, "3")
	for _, from := range []storage.Position{kept, lost} {
		page, err := restored.Read(ctx, news, storage.ReadOptions{From: from})
		fmt.Println(len(page.Events), errors.Is(err, storage.ErrGap))
	}
	// Output:
	// 1 false
	// 0 true
}

// An error of Open says what is wrong with the file.
func ExampleFileError() {
	dir, err := os.MkdirTemp("", "carillon")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "letter.txt")
	if err := os.WriteFile(path, []byte("Dear Sir or Madam, this is no database"), 0o600); err != nil {
		log.Fatal(err)
	}
	_, err = sqlite.Open(path)
	var file *sqlite.FileError
	fmt.Println(errors.As(err, &file), errors.Is(err, sqlite.ErrForeign))
	// Output: true true
}
