// Command drivers measures the two drivers of SQLite that need no C compiler on what
// storage/sqlite does most: a bare loop of 64 rows a transaction, 64 publishers
// through one writer that commits all that waits, and reading the last 50 events of a
// channel. Each round runs all drivers, in turn, so that they meet the same machine.
//
//	go run ./storage/sqlite/internal/drivers
//
// It is a module of its own, so that the store asks for one driver only.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

const (
	pragmas = `PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL`
	schema  = `CREATE TABLE event (channel INTEGER, number INTEGER, id TEXT, data BLOB, PRIMARY KEY (channel, number)) WITHOUT ROWID`
	insert  = `INSERT INTO event VALUES (?, ?, ?, ?)`
	latest  = `SELECT number, id, data FROM event WHERE channel = ? ORDER BY number DESC LIMIT 50`
	group   = 64
)

// session is one connection to a file. One goroutine uses it.
type session interface {
	// insert writes rows in one transaction.
	insert(rows []row) error
	// latest reads the last 50 rows of a channel and returns the bytes of their data.
	latest(channel int64) (int, error)
	close() error
}

type row struct {
	channel, number int64
	id              string
	data            []byte
}

type contender struct {
	name string
	open func(path string) (session, error)
}

func main() {
	rounds := flag.Int("rounds", 7, "rounds, of which the medians are shown")
	rows := flag.Int("rows", 6400, "rows that each test of a round writes")
	dir := flag.String("dir", ".", "folder on the disk to measure")
	flag.Parse()
	if err := run(*dir, *rounds, *rows); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(dir string, rounds, rows int) error {
	dir, err := os.MkdirTemp(dir, "drivers")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	contenders := []contender{{"modernc", openModernc}, {"ncruces", openNcruces}}
	tests := []struct {
		name string
		run  func(session, int) (float64, error)
	}{{"bare", bare}, {"grouped", grouped}, {"last 50", last50}}
	figures := make(map[string][]float64)
	for round := range rounds {
		for i := range contenders {
			c := contenders[(i+round)%len(contenders)]
			s, err := c.open(filepath.Join(dir, fmt.Sprintf("%s-%d.db", c.name, round)))
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			for _, test := range tests {
				figure, err := test.run(s, rows)
				if err != nil {
					return fmt.Errorf("%s: %s: %w", c.name, test.name, err)
				}
				figures[c.name+test.name] = append(figures[c.name+test.name], figure)
			}
			if err := s.close(); err != nil {
				return err
			}
		}
	}
	for _, test := range tests {
		for _, c := range contenders {
			all := figures[c.name+test.name]
			slices.Sort(all)
			fmt.Printf("%-8s %-8s %8.0f/s (%.0f to %.0f)\n", test.name, c.name, all[len(all)/2], all[0], all[len(all)-1])
		}
	}
	return nil
}

var payload = bytes.Repeat([]byte("x"), 200)

// bare is rows per second in transactions of 64.
func bare(s session, rows int) (float64, error) {
	began := time.Now()
	for n := 0; n < rows; n += group {
		batch := make([]row, group)
		for i := range batch {
			batch[i] = row{1, int64(n + i), "0123456789abcdef", payload}
		}
		if err := s.insert(batch); err != nil {
			return 0, err
		}
	}
	return float64(rows) / time.Since(began).Seconds(), nil
}

// grouped is rows per second of 64 goroutines that each wait for a row to be durable.
func grouped(s session, rows int) (float64, error) {
	type request struct {
		row  row
		done chan error
	}
	queue := make(chan request, group)
	var publishers sync.WaitGroup
	var mu sync.Mutex
	var failed error
	began := time.Now()
	for p := range group {
		publishers.Go(func() {
			done := make(chan error, 1)
			for n := range rows / group {
				queue <- request{row{2, int64(p*rows + n), "0123456789abcdef", payload}, done}
				if err := <-done; err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
				}
			}
		})
	}
	go func() {
		publishers.Wait()
		close(queue)
	}()
	for first := range queue {
		waiting := []request{first}
		for more := true; more && len(waiting) < group; {
			select {
			case r, ok := <-queue:
				if more = ok; ok {
					waiting = append(waiting, r)
				}
			default:
				more = false
			}
		}
		batch := make([]row, len(waiting))
		for i, r := range waiting {
			batch[i] = r.row
		}
		err := s.insert(batch)
		for _, r := range waiting {
			r.done <- err
		}
	}
	return float64(rows) / time.Since(began).Seconds(), failed
}

// last50 is pages per second.
func last50(s session, rows int) (float64, error) {
	pages := rows / 16
	began := time.Now()
	for range pages {
		n, err := s.latest(1)
		if err != nil {
			return 0, err
		}
		if n != 50*len(payload) {
			return 0, fmt.Errorf("read %d bytes", n)
		}
	}
	return float64(pages) / time.Since(began).Seconds(), nil
}
