package storagetest_test

import (
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
