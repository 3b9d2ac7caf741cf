package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/sqlite"
)

// keep is more than any test writes.
const keep = 1 << 30

// turns are the parts of a test that are run by turns.
const turns = 10

// through is a way into the store.
type through struct {
	name    string
	publish func(ctx context.Context, channel int) error
}

// writes compares publishers, many and one, with a bare loop.
func writes(ctx context.Context, dir string, rounds, rows int) error {
	var all []*comparison
	figure := func(what, goal string) *comparison {
		for _, c := range all {
			if c.what == what {
				return c
			}
		}
		c := &comparison{what: what, unit: "/s", goal: goal}
		all = append(all, c)
		return c
	}
	for round := range rounds {
		b, err := openBare(filepath.Join(dir, fmt.Sprintf("bare-%d.db", round)))
		if err != nil {
			return err
		}
		st, err := sqlite.Open(filepath.Join(dir, fmt.Sprintf("store-%d.db", round)))
		if err != nil {
			return err
		}
		br, err := broker.New(broker.WithHistory(st), broker.WithChannelRules(
			broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: keep}}))
		if err != nil {
			return err
		}
		ways := []through{throughBroker(br.App("bench")), throughStore(st)}
		for _, way := range ways {
			for _, channels := range []int{1, group} {
				what := fmt.Sprintf("%d publishers, %d channels, %s", group, channels, way.name)
				err := compare(figure(what, "≥ 0.85"), rows,
					func(n int) error { return publishers(ctx, way, group, n, channels) },
					func(n int) error { return commits(b, n, group, channels) })
				if err != nil {
					return err
				}
			}
			// Each commits alone, so that fewer take as long.
			err := compare(figure("1 publisher, "+way.name+", beside bare commits of 1", "reported"), rows/16,
				func(n int) error { return publishers(ctx, way, 1, n, 1) },
				func(n int) error { return commits(b, n, 1, 1) })
			if err != nil {
				return err
			}
		}
		if err := errors.Join(br.Shutdown(ctx), st.Close(), b.close()); err != nil {
			return err
		}
	}
	for _, c := range all {
		c.show()
	}
	return nil
}

// compare measures both in slices that take turns, so that both meet the same machine.
func compare(c *comparison, n int, store, bare func(n int) error) error {
	var took [2]time.Duration
	for turn := range turns {
		for i := range took {
			which := (i + turn) % 2
			began := time.Now()
			if err := []func(int) error{store, bare}[which](n / turns); err != nil {
				return err
			}
			took[which] += time.Since(began)
		}
	}
	c.add(perSecond(n, took[0]), perSecond(n, took[1]))
	return nil
}

func throughBroker(app *broker.App) through {
	names := channelNames("published")
	return through{"broker.Publish", func(ctx context.Context, channel int) error {
		_, err := app.Publish(ctx, names[channel], "message", payload)
		return err
	}}
}

func throughStore(st *sqlite.Store) through {
	names := channelNames("appended")
	return through{"Store.Append", func(ctx context.Context, channel int) error {
		ev := storage.Event{ID: "0123456789abcdef01234567", Name: "message", Data: payload, Time: time.Now()}
		_, err := st.Append(ctx, storage.ChannelID{App: "bench", Name: names[channel]}, &ev,
			storage.AppendOptions{Retention: storage.Retention{Events: keep}})
		return err
	}}
}

func channelNames(prefix string) (names [group]string) {
	for i := range names {
		names[i] = fmt.Sprintf("%s-%d", prefix, i)
	}
	return names
}

// publishers publish n events, each of them one after another.
func publishers(ctx context.Context, way through, publishers, n, channels int) error {
	errs := make([]error, publishers)
	var all sync.WaitGroup
	for p := range publishers {
		all.Go(func() {
			for range n / publishers {
				if err := way.publish(ctx, p%channels); err != nil {
					errs[p] = err
					return
				}
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// commits writes n rows, some in each transaction.
func commits(b *bare, n, rows, channels int) error {
	for range n / rows {
		if err := b.commit(rows, channels); err != nil {
			return err
		}
	}
	return nil
}
