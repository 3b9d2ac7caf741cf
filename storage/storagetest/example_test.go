package storagetest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/memory"
	"github.com/carillon-rt/carillon/storage/storagetest"
)

// A store that uses the time package and reaches nothing outside of the process
// is tested in no time.
func ExampleRun() {
	_ = func(t *testing.T) { // func TestStore(t *testing.T)
		storagetest.Run(t, func(t *testing.T) storagetest.Store {
			return memory.New()
		}, storagetest.WithSynctest())
	}
}

// The adapter of an engine that keeps events only is tested in real time.
func ExampleRunHistory() {
	_ = func(t *testing.T) { // func TestHistory(t *testing.T)
		storagetest.RunHistory(t, func(t *testing.T) storage.History {
			return memory.New() // myadapter.Open(t.TempDir()), closed by t.Cleanup
		})
	}
}

func ExampleBenchmarkHistory() {
	_ = func(b *testing.B) { // func BenchmarkStore(b *testing.B)
		storagetest.BenchmarkHistory(b, memory.New())
	}
}

// An adapter whose author says how to end it and how to put a copy in its place is
// tested for what it goes on with.
func ExampleWithRestart() {
	_ = func(t *testing.T) { // func TestHistory(t *testing.T)
		storagetest.RunHistory(t, func(t *testing.T) storage.History {
			return storagetest.NewEngine(true) // myadapter.Open(t.TempDir())
		}, storagetest.WithRestart(func(t testing.TB, store storagetest.Store) storagetest.Store {
			store.(*storagetest.Engine).Restart() // close it, and open the same file
			return store
		}))
	}
}

// Every third append fails, though the store has taken the event.
func ExampleFaults() {
	ctx := context.Background()
	store := storagetest.NewFaults(memory.New(), func(c storagetest.Call) storagetest.Fault {
		if c.Op == storagetest.OpAppend && c.N%3 == 0 {
			return storagetest.Fault{Err: storage.ErrOutcomeUnknown, Taken: true}
		}
		return storagetest.Fault{}
	})
	defer store.Close()
	room := storage.ChannelID{App: "app", Name: "room"}
	for range 3 {
		_, err := store.Append(ctx, room, &storage.Event{Name: "message"}, storage.AppendOptions{Retention: storage.Retention{Events: 10}})
		fmt.Println(err)
	}
	page, _ := store.Read(ctx, room, storage.ReadOptions{})
	fmt.Println(len(page.Events), "kept")
	// Output:
	// <nil>
	// <nil>
	// outcome of the append is unknown
	// 3 kept
}

// What was appended after the copy is lost, and nobody continues from it.
func ExampleEngine() {
	ctx := context.Background()
	engine := storagetest.NewEngine(false)
	room := storage.ChannelID{App: "app", Name: "room"}
	keep := storage.AppendOptions{Retention: storage.Retention{Events: 10}}
	first, _ := engine.Append(ctx, room, &storage.Event{Name: "message"}, keep)
	copied := engine.Copy()
	lost, _ := engine.Append(ctx, room, &storage.Event{Name: "message"}, keep)
	engine.Restore(copied)

	for _, p := range []storage.Position{first.Position, lost.Position} {
		_, err := engine.Read(ctx, room, storage.ReadOptions{From: p})
		fmt.Println("gap:", errors.Is(err, storage.ErrGap))
	}
	// Output:
	// gap: false
	// gap: true
}
