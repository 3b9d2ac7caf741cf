// Package bench is the command carillon bench: how many clients and deliveries does a
// server on a machine take? It raises a load until the server does not hold it, and says
// how far the load itself was the limit.
package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/carillon-rt/carillon/cmd/carillon/internal/client"
	"github.com/carillon-rt/carillon/internal/arrivals"
)

// Bounds of what one asks for.
const (
	maxClients  = 100_000
	maxChannels = 10_000
	maxRate     = 100_000
	maxSize     = 1 << 20
	minLasting  = 100 * time.Millisecond
	maxLasting  = 2 * time.Minute
)

// Run is the command.
func Run(ctx context.Context, args []string, env client.Environment) error {
	set := env.FlagSet("bench", "", "Connects more and more clients to a server, publishes to them, then publishes faster and faster, until the "+
		"server does not keep up, -clients and -max-rate are reached, or it is told to stop. It needs an app of its own: its limits count as well, "+
		"and clients of others would wait. The channels are named carillon-bench-….")
	var flags client.Flags
	flags.Register(set)
	var p plan
	set.IntVar(&p.clients, "clients", 1000, "`number` of clients in the end")
	set.IntVar(&p.channels, "channels", 10, "`number` of channels that they are spread over")
	set.Float64Var(&p.rate, "rate", 10, "`events` a second, over all channels, while clients connect")
	set.Float64Var(&p.maxRate, "max-rate", 1280, "`events` a second up to which the rate is doubled afterwards")
	set.DurationVar(&p.lasting, "step", 5*time.Second, "how long each step publishes")
	set.IntVar(&p.size, "size", 100, "size of an event's data, in `bytes`")
	set.DurationVar(&p.maxLatency, "max-latency", 500*time.Millisecond, "what 99 % of the deliveries have to stay below")
	set.IntVar(&p.pid, "pid", 0, "the server's `process`, whose memory and time are reported; found where it can be unless it is given")
	asJSON := set.Bool("json", false, "print one JSON object at the end in place of a table")
	owned := set.Bool("yes-i-own-it", false, "load a server that is not on this machine")
	others, err := set.Arguments(args)
	if err != nil {
		return err
	}
	if len(others) > 0 {
		return client.Usage(fmt.Errorf("unexpected argument %q", others[0]))
	}
	app, err := flags.App(env.Getenv, env.Stored)
	if err == nil {
		err = app.Require("id", "key", "secret")
	}
	if err == nil {
		err = p.check()
	}
	if err != nil {
		return client.Usage(err)
	}
	return p.bench(ctx, &app, *owned, *asJSON, env)
}

// check refuses nonsense, and what has no bounds.
func (p plan) check() error {
	switch {
	case p.clients < 1 || p.clients > maxClients:
		return fmt.Errorf("-clients %d is not from 1 to %d", p.clients, maxClients)
	case p.channels < 1 || p.channels > min(maxChannels, p.clients):
		return fmt.Errorf("-channels %d is not from 1 to %d, or more than -clients", p.channels, maxChannels)
	case !(p.rate >= 0.1 && p.rate <= maxRate):
		return fmt.Errorf("-rate %v is not from 0.1 to %d", p.rate, maxRate)
	case !(p.maxRate >= 0 && p.maxRate <= maxRate):
		return fmt.Errorf("-max-rate %v is not from 0 to %d", p.maxRate, maxRate)
	case p.lasting < minLasting || p.lasting > maxLasting:
		return fmt.Errorf("-step %s is not from %s to %s", p.lasting, minLasting, maxLasting)
	case p.size < arrivals.MinPayload || p.size > maxSize:
		return fmt.Errorf("-size %d is not from %d to %d", p.size, arrivals.MinPayload, maxSize)
	case p.maxLatency <= 0:
		return fmt.Errorf("-max-latency %s is no time", p.maxLatency)
	case p.pid < 0:
		return fmt.Errorf("-pid %d is no process", p.pid)
	}
	return roomFor(p.clients)
}

// outcome is what -json prints.
type outcome struct {
	Server  string `json:"server"`
	Machine struct {
		Cores int    `json:"cores"`
		OS    string `json:"os"`
		Arch  string `json:"arch"`
	} `json:"machine"`
	Channels   int      `json:"channels"`
	Size       int      `json:"size"`
	Steps      []result `json:"steps"`
	Conclusion string   `json:"conclusion"`
}

func (p plan) bench(ctx context.Context, app *client.App, owned, asJSON bool, env client.Environment) error {
	dialer := &net.Dialer{Timeout: connectTimeout}
	if !owned {
		dialer.Control = func(_, address string, _ syscall.RawConn) error { return here(address) }
	}
	app.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, address)
	}
	probe, err := app.Dial(ctx, "tcp", hostPort(&app.Socket))
	if errors.Is(err, errNotHere) {
		return client.Usage(fmt.Errorf("%s: %w", app.Socket.Host, errNotHere))
	} else if err != nil {
		return fmt.Errorf("no server at %s: %w", app.Socket.Host, err)
	}
	server := probe.RemoteAddr().String()
	_ = probe.Close()
	if p.pid == 0 && here(server) == nil {
		p.pid = serverOf(server)
	}
	api := client.NewAPI(app, publishers)
	defer api.Close()
	run := client.RandomHex(4)
	channels := make([]string, p.channels)
	for i := range channels {
		channels[i] = "carillon-bench-" + run + "-" + strconv.Itoa(i)
	}
	o := outcome{Server: app.Socket.String(), Channels: p.channels, Size: p.size, Steps: []result{}}
	o.Machine.Cores, o.Machine.OS, o.Machine.Arch = runtime.NumCPU(), runtime.GOOS, runtime.GOARCH
	err = p.run(ctx, app, api, channels, func(r result) error {
		o.Steps = append(o.Steps, r)
		_, err := fmt.Fprintf(env.Stderr, "%d clients, %.0f events/s: %.0f deliveries/s, 99 %% within %.1f ms\n", r.Clients, r.Rate, r.DeliveriesPerSecond, r.P99)
		return err
	})
	if len(o.Steps) == 0 || (err != nil && ctx.Err() == nil) {
		return err
	}
	o.Conclusion = conclude(o.Steps)
	if asJSON {
		encoder := json.NewEncoder(env.Stdout)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return errors.Join(encoder.Encode(o), err)
	}
	return errors.Join(o.table(env.Stdout), err)
}

// here returns errNotHere unless an address is this machine's own.
func here(address string) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || !at.Addr().Unmap().IsLoopback() {
		return errNotHere
	}
	return nil
}

// conclude says what the steps came to.
func conclude(steps []result) string {
	best := -1
	for i, r := range steps {
		if r.Held {
			best = i
		}
	}
	last := steps[len(steps)-1]
	switch {
	case best < 0:
		return "It did not hold the first step: " + last.Why + "."
	case !last.Held:
		return fmt.Sprintf("It held %d clients at %.0f deliveries a second, and not %d clients at %.0f events a second: %s.",
			steps[best].Clients, steps[best].DeliveriesPerSecond, last.Clients, last.Rate, last.Why)
	}
	text := fmt.Sprintf("It held all that was tried, up to %d clients at %.0f deliveries a second: its limit is further on (-clients, -max-rate).",
		last.Clients, last.DeliveriesPerSecond)
	if limit := last.limitedByGenerator(); limit != "" {
		text += " In the last step " + limit + "."
	}
	return text
}

// table prints the steps for people.
func (o *outcome) table(out io.Writer) error {
	if _, err := fmt.Fprintf(out, "%s from %d cores of %s/%s, %d channels, %d bytes an event\n\n", o.Server, o.Machine.Cores, o.Machine.OS, o.Machine.Arch, o.Channels, o.Size); err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(w, "clients\tevents/s\tdeliveries/s\tlost\tp50 ms\tp99 ms\tmax ms\tcores: server\tload\tKiB/client\t")
	for _, r := range o.Steps {
		server, memory := "–", "–"
		if r.ServerCores != nil {
			server = fmt.Sprintf("%.2f", *r.ServerCores)
		}
		if r.BytesPerClient != nil {
			memory = fmt.Sprintf("%.1f", float64(*r.BytesPerClient)/1024)
		}
		_, _ = fmt.Fprintf(w, "%d\t%.0f\t%.0f\t%d\t%.2f\t%.2f\t%.2f\t%s\t%.2f\t%s\t\n", r.Clients, r.PerSecond, r.DeliveriesPerSecond, r.Lost, r.P50, r.P99, r.Max, server, r.GeneratorCores, memory)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "\n%s\n", client.Printable(o.Conclusion))
	return err
}
