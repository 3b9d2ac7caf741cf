package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run is a server process or the load, as the arguments say.
func run(args []string, in io.Reader, out io.Writer) error {
	if len(args) > 0 && args[0] == serveArgument {
		return serve(args[1:], in, out)
	}
	o, err := parseOptions(args, out)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := raiseFileLimit(); err != nil {
		return err
	}
	started := time.Now()
	all, failed := measure(o)
	text := report(all, o.rounds, &o.env, started)
	if _, err := io.WriteString(out, text); err != nil {
		return err
	}
	if o.path != "" {
		failed = errors.Join(failed, write(o.path, text))
	}
	return failed
}

// options are what the command line says.
type options struct {
	env
	scenarios []scenario
	rounds    int
	path      string
}

// apart begins what a report has that other commands have measured.
const apart = "\n## Measured by other commands\n"

// write writes a report, and keeps of the one before what other commands have measured.
func write(path, text string) error {
	before, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if _, kept, ok := strings.Cut(string(before), apart); ok {
		text += apart + kept
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

func parseOptions(args []string, out io.Writer) (options, error) {
	o := options{env: env{log: os.Stderr}}
	flags := flag.NewFlagSet("benchmarks", flag.ContinueOnError)
	flags.SetOutput(out)
	numbers := flags.String("scenarios", "", "numbers of the scenarios, separated by commas; empty runs all")
	peers := flags.String("peers", strings.Join(peerNames(), ","), "the servers to measure")
	flags.IntVar(&o.rounds, "rounds", 3, "how often to run each scenario")
	flags.BoolVar(&o.quick, "quick", false, "a few seconds with a few connections: to see that it works")
	flags.StringVar(&o.path, "out", "RESULTS.md", "where to write the report; empty only prints it")
	flags.StringVar(&o.keep, "cpuprofile", "", "a folder to keep the CPU profiles in that the report quotes")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 || o.rounds < 1 {
		return o, fmt.Errorf("unexpected arguments %q, or %d rounds", flags.Args(), o.rounds)
	}
	o.peers = strings.Split(*peers, ",")
	for _, p := range o.peers {
		if !slices.Contains(peerNames(), p) {
			return o, fmt.Errorf("unknown peer %q, want some of %s", p, strings.Join(peerNames(), ","))
		}
	}
	o.scenarios = scenarios()
	if *numbers == "" {
		return o, nil
	}
	var chosen []scenario
	for _, text := range strings.Split(*numbers, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > len(o.scenarios) {
			return o, fmt.Errorf("unknown scenario %q, want 1 to %d", text, len(o.scenarios))
		}
		chosen = append(chosen, o.scenarios[n-1])
	}
	o.scenarios = chosen
	return o, nil
}

// measure runs every scenario in every round, and then profiles Carillon. What
// fails is in the results and in the error.
func measure(o options) ([]*results, error) {
	all := make([]*results, len(o.scenarios))
	for i, s := range o.scenarios {
		all[i] = newResults(s)
	}
	var failed []error
	for round := range o.rounds {
		for i, s := range o.scenarios {
			var rows []row
			var err error
			switch {
			case s.run != nil:
				_, _ = fmt.Fprintf(o.log, "round %d, %d. %s\n", round+1, s.number, s.title)
				rows, err = s.run(&o.env)
				all[i].add(rows)
			case round == 0:
				_, _ = fmt.Fprintf(o.log, "%d. %s\n", s.number, s.title)
				var rows []row
				all[i].text, rows, err = s.text(&o.env)
				all[i].add(rows)
			}
			if err != nil {
				err = fmt.Errorf("round %d, scenario %d: %w", round+1, s.number, err)
				all[i].failed = append(all[i].failed, err)
				failed = append(failed, err)
				_, _ = fmt.Fprintln(o.log, err)
			}
		}
	}
	for i, s := range o.scenarios {
		if !s.profiled || !slices.Contains(o.peers, carillonPeer) {
			continue
		}
		_, _ = fmt.Fprintf(o.log, "profile, %d. %s\n", s.number, s.title)
		var err error
		if all[i].profile, err = o.profileOf(s); err != nil {
			failed = append(failed, fmt.Errorf("profile of scenario %d: %w", s.number, err))
		}
	}
	return all, errors.Join(failed...)
}
