package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/storage/sqlite"
)

// deliveries measures how long after the commit of a transaction its event is with a
// subscriber: one of the broker on the same store, and one of another store on the file,
// as another process has.
func deliveries(ctx context.Context, dir string) error {
	path := filepath.Join(dir, "shared.db")
	var stores [2]*sqlite.Store
	var brokers [2]*broker.Broker
	for i := range stores {
		var err error
		if stores[i], err = sqlite.Open(path); err != nil {
			return err
		}
		if brokers[i], err = broker.New(broker.WithHistory(stores[i]), broker.WithChannelRules(
			broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: keep}})); err != nil {
			return err
		}
	}
	sub, err := brokers[0].App("bench").Subscribe(ctx, "room")
	if err != nil {
		return err
	}
	arrived := make(chan time.Time)
	go func() {
		defer close(arrived)
		for _, err := range sub.Events() {
			if err != nil {
				return
			}
			arrived <- time.Now()
		}
	}()
	for from, goal := range []string{"≤ 20 ms", "≤ 1000 ms"} {
		var took []time.Duration
		for range []int{200, 20}[from] {
			p, err := brokers[from].App("bench").Prepare(ctx, "room", "message", payload)
			if err != nil {
				return err
			}
			if err := stores[from].InTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
				_, err := stores[from].AppendTx(ctx, tx, p)
				return err
			}); err != nil {
				return err
			}
			committed := time.Now()
			at, ok := <-arrived
			if !ok {
				return errors.New("the subscription has ended")
			}
			took = append(took, max(at.Sub(committed), 0))
		}
		slices.Sort(took)
		fmt.Printf("| %-52s | %14s | %14s | %-20s | %s |\n", []string{"delivered after a commit, 99th percentile", "delivered after a commit of another process, longest"}[from],
			fmt.Sprintf("%.1f ms", float64(took[len(took)*99/100].Microseconds())/1000), "", "", goal)
	}
	sub.Close()
	for range arrived {
	}
	return errors.Join(brokers[0].Shutdown(ctx), brokers[1].Shutdown(ctx), stores[0].Close(), stores[1].Close())
}
