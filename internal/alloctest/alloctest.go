// Package alloctest counts allocations, for tests of code that may make only so many.
// It is not for benchmarks, which have testing.B.ReportAllocs.
package alloctest

import "testing"

// PerRun is how often f allocates when it runs: the least of several counts of
// so many runs each. [testing.AllocsPerRun] counts what the whole process
// allocates, and so now and then what the garbage collector, the race detector
// or an earlier test's goroutine does meanwhile.
func PerRun(runs int, f func()) float64 {
	least := testing.AllocsPerRun(runs, f)
	for range 4 {
		least = min(least, testing.AllocsPerRun(runs, f))
	}
	return least
}
