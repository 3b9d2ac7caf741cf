package memory_test

import (
	"testing"

	"github.com/carillon-rt/carillon/internal/alloctest"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/memory"
	"github.com/carillon-rt/carillon/storage/storagetest"
)

func BenchmarkStore(b *testing.B) {
	storagetest.BenchmarkHistory(b, memory.New())
	storagetest.BenchmarkPresence(b, memory.New())
}

// An append to a channel that is full takes no memory but the event's own data.
func TestAppendAllocates(t *testing.T) {
	store := memory.New()
	ch := storage.ChannelID{App: "app", Name: "room"}
	ev := &storage.Event{ID: "1", Name: "message", Data: []byte("hello")}
	opts := storage.AppendOptions{Retention: storage.Retention{Events: 10}}
	append1 := func() {
		if _, err := store.Append(t.Context(), ch, ev, opts); err != nil {
			t.Fatal(err)
		}
	}
	for range storage.FillEvents {
		append1()
	}
	if n := alloctest.PerRun(100, append1); n > 0 {
		t.Errorf("an append allocates %v times", n)
	}
}
