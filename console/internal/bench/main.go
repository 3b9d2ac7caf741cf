// Bench measures what a console costs a server: the CPU time of a delivery without one, with
// one that nobody looks at, and with one viewer of its log.
//
//	go run ./console/internal/bench
//	go run ./console/internal/bench -subscribers 1 -rate 30000
//
// Servers are processes of their own, clients and viewers are in this one. In each round every
// kind of server is measured once; what is printed are the medians of the rounds' ratios.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// Kinds of servers.
const (
	without = "without"
	idle    = "idle"
	viewed  = "viewed"
)

func main() {
	var b bench
	kind := flag.String("serve", "", "be a server of this kind")
	flag.IntVar(&b.rounds, "rounds", 7, "rounds")
	flag.IntVar(&b.subscribers, "subscribers", 100, "subscribers of the channel")
	flag.IntVar(&b.rate, "rate", 30_000, "deliveries a second")
	flag.DurationVar(&b.time, "time", 4*time.Second, "how long each server is measured")
	flag.Parse()
	var err error
	if *kind != "" {
		err = serve(*kind, b.rate/b.subscribers)
	} else {
		err = b.run(context.Background(), os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type bench struct {
	rounds, subscribers, rate int
	time                      time.Duration
}

// measured is what a server has used.
type measured struct {
	CPU        time.Duration `json:"cpu"`
	Deliveries int64         `json:"deliveries"`
}

func (m measured) each() float64 { return float64(m.CPU.Nanoseconds()) / float64(max(m.Deliveries, 1)) }

func (b *bench) run(ctx context.Context, out io.Writer) error {
	kinds := []string{without, idle, viewed}
	each := make(map[string][]float64)
	ratios := make(map[string][]float64)
	for round := range b.rounds {
		cost := make(map[string]float64)
		for i := range kinds { // in another order each time
			kind := kinds[(i+round)%len(kinds)]
			m, err := b.measure(ctx, kind)
			if err != nil {
				return fmt.Errorf("%s: %w", kind, err)
			}
			cost[kind] = m.each()
			each[kind] = append(each[kind], m.each())
			fmt.Fprintf(out, "round %d  %-8s %8.0f ns CPU a delivery, %7.0f deliveries/s\n", round+1, kind, m.each(), float64(m.Deliveries)/b.time.Seconds())
		}
		for _, kind := range kinds[1:] {
			ratios[kind] = append(ratios[kind], cost[kind]/cost[without])
		}
	}
	fmt.Fprintf(out, "\nmedians of %d rounds, %d deliveries/s to %d subscribers:\n", b.rounds, b.rate, b.subscribers)
	for _, kind := range kinds {
		fmt.Fprintf(out, "%-8s %8.0f ns CPU a delivery", kind, median(each[kind]))
		if kind != without {
			fmt.Fprintf(out, ", %.3f × without", median(ratios[kind]))
		}
		fmt.Fprintln(out)
	}
	return nil
}

func median(of []float64) float64 {
	of = slices.Sorted(slices.Values(of))
	return of[len(of)/2]
}

// measure starts a server of a kind, with its clients, and asks it what it has used.
func (b *bench) measure(ctx context.Context, kind string) (m measured, err error) {
	ctx, cancel := context.WithTimeout(ctx, b.time+time.Minute)
	defer cancel()
	self, err := os.Executable()
	if err != nil {
		return m, err
	}
	cmd := exec.CommandContext(ctx, self, "-serve", kind, "-subscribers", fmt.Sprint(b.subscribers), "-rate", fmt.Sprint(b.rate))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return m, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return m, err
	}
	if err := cmd.Start(); err != nil {
		return m, err
	}
	var reading sync.WaitGroup
	defer func() {
		_ = in.Close() // which ends it
		err = errors.Join(err, cmd.Wait())
		cancel()
		reading.Wait()
	}()
	lines := bufio.NewScanner(stdout)
	if !lines.Scan() {
		return m, errors.New("the server does not say where it is")
	}
	address := lines.Text()
	for range b.subscribers {
		c, _, err := websocket.Dial(ctx, "ws://"+address+"/app/app-key?protocol=7&client=bench&version=1", nil)
		if err != nil {
			return m, err
		}
		c.SetReadLimit(1 << 20)
		if err := c.Write(ctx, websocket.MessageText, []byte(`{"event":"pusher:subscribe","data":{"channel":"room"}}`)); err != nil {
			return m, err
		}
		reading.Go(func() {
			defer c.CloseNow()
			for {
				if _, _, err := c.Read(ctx); err != nil {
					return
				}
			}
		})
	}
	if kind == viewed {
		if err := view(ctx, &reading, address); err != nil {
			return m, err
		}
	}
	if _, err := fmt.Fprintln(in, b.time); err != nil {
		return m, err
	}
	if !lines.Scan() {
		return m, errors.New("the server does not say what it has used")
	}
	return m, json.NewDecoder(strings.NewReader(lines.Text())).Decode(&m)
}

// view looks at the log as the page does.
func view(ctx context.Context, reading *sync.WaitGroup, address string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/console/api/events/stream", nil)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the console answers %s", resp.Status)
	}
	reading.Go(func() {
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
	})
	return nil
}
