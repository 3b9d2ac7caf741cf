// Command attack runs attacks against servers, one after another, and reports what
// each of them costs: memory and CPU of the server, and what honest clients notice.
// A server is a binary of cmd/carillon; several, as of a commit and of the
// one before it, are compared line by line.
//
//	go build -o /tmp/before ./cmd/carillon # in a checkout of the one before
//	go build -o /tmp/after ./cmd/carillon
//	cd benchmarks && go run ./attack -server before=/tmp/before -server after=/tmp/after
//
// Everything is on this machine and bounded in time. Where attacker and server
// share processors, latencies are those of a busy machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "attack:", err)
		os.Exit(1)
	}
}

// contender is a server to attack.
type contender struct{ name, path string }

// settings are what the command line says.
type settings struct {
	servers []contender
	attacks []attack
	lasting time.Duration
	// scale divides how many connections and messages an attack has.
	scale int
}

func parse(args []string, out io.Writer) (settings, error) {
	s := settings{}
	flags := flag.NewFlagSet("attack", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.Func("server", "`name=path` of a binary of cmd/carillon; may be given several times", func(v string) error {
		name, path, ok := strings.Cut(v, "=")
		if !ok {
			return errors.New("want name=path")
		}
		s.servers = append(s.servers, contender{name, path})
		return nil
	})
	var names []string
	for _, a := range attacks() {
		names = append(names, a.name)
	}
	chosen := flags.String("attacks", strings.Join(names, ","), "those to run")
	flags.DurationVar(&s.lasting, "for", 10*time.Second, "how long an attack lasts")
	flags.IntVar(&s.scale, "scale", 1, "divide connections and messages by this")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if len(s.servers) == 0 || flags.NArg() > 0 || s.scale < 1 || s.lasting <= 0 {
		return s, errors.New("give at least one -server, and no other arguments")
	}
	for name := range strings.SplitSeq(*chosen, ",") {
		i := slices.IndexFunc(attacks(), func(a attack) bool { return a.name == name })
		if i < 0 {
			return s, fmt.Errorf("attack %q is unknown: there are %s", name, strings.Join(names, ", "))
		}
		s.attacks = append(s.attacks, attacks()[i])
	}
	return s, nil
}

func run(ctx context.Context, args []string, out, log io.Writer) error {
	s, err := parse(args, log)
	if err != nil {
		return err
	}
	if err := raiseFileLimit(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "| attack | server | MiB before | MiB at most | CPU s | p99 ms before | p99 ms during | of 100 events arrived | "+
		"of 100 new clients connected | besides |\n|---|---|---:|---:|---:|---:|---:|---:|---:|---|\n")
	for _, a := range s.attacks {
		for _, b := range s.servers {
			_, _ = fmt.Fprintf(log, "%s, %s: %s\n", a.name, b.name, a.what)
			found, failed := a.against(ctx, b, s)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if failed != nil {
				err = errors.Join(err, fmt.Errorf("%s, %s: %w", a.name, b.name, failed))
			}
			_, e := fmt.Fprintf(out, "| %s | %s | %s |\n", a.name, b.name, found)
			err = errors.Join(err, e)
		}
	}
	return err
}

func raiseFileLimit() error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return err
	}
	l.Cur = l.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l)
}
