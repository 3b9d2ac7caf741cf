// Package linearizability checks that concurrent calls of a store can be put in one
// order in which each answer is right: calls are recorded as they overlap, and
// porcupine looks for the order. It finds what no test of single promises does, such
// as a read that misses an event which another read had.
//
//	func TestLinearizable(t *testing.T) {
//		linearizability.History(t, open(t))
//		linearizability.Presence(t, open(t))
//	}
//
// It is for stores whose answers are never old. One that reads from replicas need
// not pass. Calls that fail may have happened or not, or happen later: run it over
// storagetest.Faults to see that nothing else depends on what became of them.
package linearizability

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

const (
	rounds  = 60 // each on a channel of its own
	clients = 6
	calls   = 8 // of each client
	// patience is how long porcupine may look for an order.
	patience = 30 * time.Second
)

// recorder notes calls and when they began and ended.
type recorder struct {
	start time.Time
	mu    sync.Mutex
	ops   []porcupine.Operation // guarded by mu
}

// call makes one call. f returns its answer, and whether it is known what the call
// has done.
func (r *recorder) call(client int, input any, f func() (output any, known bool)) {
	began := time.Since(r.start)
	output, known := f()
	ended := int64(time.Since(r.start))
	if !known {
		ended = math.MaxInt64 // it may happen at any time
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, porcupine.Operation{ClientId: client, Input: input, Call: int64(began), Output: output, Return: ended})
}

// run has clients make random calls at the same time, and checks them.
func run(t testing.TB, model porcupine.Model, client func(client int, random *rand.Rand, r *recorder)) {
	t.Helper()
	r := &recorder{start: time.Now()}
	seed := rand.Uint64()
	begin := make(chan struct{})
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(i)))
			<-begin
			for range calls {
				client(i, random, r)
				runtime.Gosched()
			}
		})
	}
	close(begin)
	wg.Wait()
	switch porcupine.CheckOperationsTimeout(model, r.ops, patience) {
	case porcupine.Illegal:
		for _, op := range r.ops {
			t.Logf("%d: %8d to %8d: %s", op.ClientId, op.Call, op.Return, model.DescribeOperation(op.Input, op.Output))
		}
		t.Fatalf("no order of these calls makes all answers right (seed %d)", seed)
	case porcupine.Unknown:
		t.Errorf("no order was found within %v", patience)
	}
}

func unique(prefix string) string { return prefix + "-" + strconv.FormatUint(rand.Uint64(), 36) }

func describe(input, output any) string { return fmt.Sprintf("%+v: %+v", input, output) }
