package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
)

// env is what a run asks of every scenario.
type env struct {
	quick bool
	peers []string
	// profiles is where CPU profiles of the servers go; empty makes none. keep is
	// where those of the report are kept, if anywhere.
	profiles, keep string
	log            io.Writer
}

// size is full, or quick in a quick run.
func (e *env) size(full, quick int) int {
	if e.quick {
		return quick
	}
	return full
}

// metric is one figure of one round.
type metric struct {
	name  string
	value float64
}

// row holds the figures of one server.
type row struct {
	label   string
	metrics []metric
}

// scenario is something to measure.
type scenario struct {
	number int
	title  string
	// how says what is done, and what has to be known to read the figures.
	how string
	// ratio is the metric that is compared, as a multiple of what these servers
	// have.
	ratio   string
	against []string
	run     func(*env) ([]row, error)
	// text runs a scenario once whose report is not a table; run is nil then. The
	// rows are what goals are about.
	text func(*env) (string, []row, error)
	// goals are what Carillon is to show.
	goals []goal
	// profiled says that run makes CPU profiles, if the env asks for them.
	profiled bool
}

func scenarios() []scenario {
	return []scenario{
		pacedScenario(1, 1000, 33, 330),
		pacedScenario(2, 10_000, 3, 30),
		burstScenario(),
		manyChannelsScenario(),
		latencyScenario(),
		idleScenario(),
		connectScenario(),
		stalledScenario(),
		variantsScenario(),
		inProcessScenario(),
		rulesScenario(),
		floodScenario(),
	}
}

// eachPeer measures those of the given peers that were asked for. What fails is
// left out of the rows.
func (e *env) eachPeer(peers []string, measure func(peer string) ([]metric, error)) ([]row, error) {
	var rows []row
	var failed []error
	for _, peer := range peers {
		if !slices.Contains(e.peers, peer) {
			continue
		}
		metrics, err := measure(peer)
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", peer, err))
			continue
		}
		rows = append(rows, row{peer, metrics})
		e.logRow(rows[len(rows)-1])
	}
	return rows, errors.Join(failed...)
}

// cases measures Carillon alone, each time in a case of another label, until one
// fails.
func (e *env) cases(labels []string, measure func(label string) ([]metric, error)) (rows []row, err error) {
	if !slices.Contains(e.peers, carillonPeer) {
		return nil, nil
	}
	for _, label := range labels {
		metrics, err := measure(label)
		if err != nil {
			return rows, fmt.Errorf("%s: %w", label, err)
		}
		rows = append(rows, row{label, metrics})
		e.logRow(rows[len(rows)-1])
	}
	return rows, nil
}

func (e *env) logRow(r row) {
	_, _ = fmt.Fprintf(e.log, "  %-20s", r.label)
	for _, m := range r.metrics {
		_, _ = fmt.Fprintf(e.log, "  %s %s", m.name, number(m.value))
	}
	_, _ = fmt.Fprintln(e.log)
}

// withRig measures with a rig of its own.
func withRig(peer string, o serverOptions, clients loadOptions, measure func(*rig) ([]metric, error)) ([]metric, error) {
	r, err := newRig(peer, o, clients)
	if err != nil {
		return nil, err
	}
	metrics, err := measure(r)
	return metrics, errors.Join(err, r.close())
}
