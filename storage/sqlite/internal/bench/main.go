// Command bench measures the store beside the least that the same driver and the same
// disk can do: a bare table, a bare loop, a bare query. What is compared runs in turn,
// round by round, so that it meets the same machine; ratios are within a round.
//
//	go run ./storage/sqlite/internal/bench
//
// A ratio of 1 means that the store costs nothing.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

func main() {
	rounds := flag.Int("rounds", 7, "rounds, of which the medians are shown")
	rows := flag.Int("rows", 12_800, "events that each test of a round writes")
	events := flag.Int("events", 1_000_000, "events in the file that is read from; 0 leaves that out")
	dir := flag.String("dir", ".", "folder on the disk to measure")
	flag.Parse()
	if err := run(*dir, *rounds, *rows, *events); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(parent string, rounds, rows, events int) error {
	dir, err := os.MkdirTemp(parent, "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Printf("| %-52s | %14s | %14s | %-20s | %s |\n|%s|%s|%s|%s|%s|\n", "what", "store", "bare", "ratio", "must be",
		strings.Repeat("-", 54), strings.Repeat("-", 15)+":", strings.Repeat("-", 15)+":", strings.Repeat("-", 22), "-----------")
	ctx := context.Background()
	if err := writes(ctx, dir, rounds, rows); err != nil {
		return err
	}
	if err := deliveries(ctx, dir); err != nil {
		return err
	}
	if events == 0 {
		return nil
	}
	return reads(ctx, dir, rounds, events)
}

// comparison is a figure of the store beside the bare one, of each round.
type comparison struct {
	what, unit, goal string
	store, bare      []float64
}

// add notes a round.
func (c *comparison) add(store, bare float64) {
	c.store, c.bare = append(c.store, store), append(c.bare, bare)
}

// show prints the medians, and the median, the least and the greatest of the ratios.
func (c *comparison) show() {
	ratios := make([]float64, len(c.store))
	for i := range ratios {
		ratios[i] = c.store[i] / c.bare[i]
	}
	slices.Sort(ratios)
	fmt.Printf("| %-52s | %14s | %14s | %.2f (%.2f to %.2f) | %s |\n", c.what,
		fmt.Sprintf("%.0f %s", median(c.store), c.unit), fmt.Sprintf("%.0f %s", median(c.bare), c.unit),
		median(ratios), ratios[0], ratios[len(ratios)-1], c.goal)
}

func median(all []float64) float64 {
	all = slices.Clone(all)
	slices.Sort(all)
	return all[len(all)/2]
}

// perSecond is how often something happens a second that takes this long n times.
func perSecond(n int, took time.Duration) float64 { return float64(n) / took.Seconds() }
