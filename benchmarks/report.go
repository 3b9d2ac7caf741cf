package main

import (
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
)

// results hold what all rounds of a scenario have measured.
type results struct {
	scenario scenario
	labels   []string // in the order of the report
	metrics  []string
	values   map[string]map[string][]float64 // label, metric, one for each round
	text     string
	profile  string // of Carillon
	failed   []error
}

func newResults(s scenario) *results {
	return &results{scenario: s, values: make(map[string]map[string][]float64)}
}

// add adds the rows of one round.
func (r *results) add(rows []row) {
	for _, row := range rows {
		of := r.values[row.label]
		if of == nil {
			of = make(map[string][]float64)
			r.values[row.label] = of
			r.labels = append(r.labels, row.label)
		}
		for _, m := range row.metrics {
			if !slices.Contains(r.metrics, m.name) {
				r.metrics = append(r.metrics, m.name)
			}
			of[m.name] = append(of[m.name], m.value)
		}
	}
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(values))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// markdown writes the scenario's section of the report.
func (r *results) markdown(b *strings.Builder) {
	fmt.Fprintf(b, "\n## %d. %s\n\n%s\n\n", r.scenario.number, r.scenario.title, r.scenario.how)
	if r.text != "" {
		fmt.Fprintf(b, "```\n%s```\n", r.text)
	}
	if r.scenario.text == nil && len(r.labels) > 0 {
		writeTable(b, r.table())
	}
	for _, g := range r.scenario.goals {
		if g.missed(r) && g.why != "" {
			fmt.Fprintf(b, "\n**Short of %s**: %s\n", g, g.why)
		}
	}
	if r.profile != "" {
		fmt.Fprintf(b, "\nCarillon's profile, from a run of its own:\n\n```\n%s```\n", r.profile)
	}
	for _, err := range r.failed {
		fmt.Fprintf(b, "\nFailed: `%s`\n", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
}

// table has a line for each server: the medians, the rounds of what is compared,
// and how it compares.
func (r *results) table() [][]string {
	ratio := r.scenario.ratio
	against := slices.DeleteFunc(slices.Clone(r.scenario.against), func(label string) bool {
		return len(r.values[label][ratio]) == 0
	})
	head := append([]string{"server"}, r.metrics...)
	if ratio != "" {
		head = append(head, "rounds")
	}
	for _, label := range against {
		head = append(head, "÷ "+label)
	}
	lines := [][]string{head}
	for _, label := range r.labels {
		values := r.values[label]
		line := []string{label}
		for _, name := range r.metrics {
			line = append(line, number(median(values[name])))
		}
		if ratio != "" {
			var rounds []string
			for _, v := range values[ratio] {
				rounds = append(rounds, number(v))
			}
			line = append(line, strings.Join(rounds, ", "))
		}
		for _, other := range against {
			line = append(line, number(median(values[ratio])/median(r.values[other][ratio])))
		}
		lines = append(lines, line)
	}
	return lines
}

// writeTable writes lines, the first of which is the head, as Markdown.
func writeTable(b *strings.Builder, lines [][]string) {
	for i, line := range lines {
		fmt.Fprintf(b, "| %s |\n", strings.Join(line, " | "))
		if i == 0 {
			b.WriteString("|---|" + strings.Repeat("---:|", len(line)-1) + "\n")
		}
	}
}

// number writes a figure with three digits that matter.
func number(v float64) string {
	if math.IsNaN(v) {
		return "–"
	}
	if v == math.Trunc(v) || math.Abs(v) >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	if math.Abs(v) >= 10 {
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// report is the whole of RESULTS.md.
func report(all []*results, rounds int, e *env, started time.Time) string {
	b := new(strings.Builder)
	b.WriteString("# Carillon beside its peers\n\n")
	b.WriteString("Written by `go run .` in this folder. Servers run one at a time, each scenario and round in a " +
		"fresh process, on the processors that the load process uses too; the round goes over all of them before the " +
		"next begins. CPU is the server's user and system time from the first publish until the load has counted the " +
		"last delivery. The server publishes from inside its process. Absolute figures move from machine to machine: " +
		"the ratios are the point. Figures are medians of the rounds.\n\n")
	b.WriteString("Same for all: 100 bytes of data (floor, hub, gws and melody add no envelope), loopback, no " +
		"compression, no pings, GOMAXPROCS, socket buffers. Raised so that nothing is lost: the queue of melody and the " +
		"hub to 512 messages, that of centrifuge to 16 MiB and its write time-out to 10 s. centrifuge does not log. " +
		"Carillon has its defaults.\n\n")
	if e.quick {
		b.WriteString("**A quick run: its figures say nothing.**\n\n")
	}
	writeTable(b, append([][]string{{"", ""}}, environment(rounds, started)...))
	b.WriteString("\n## What Carillon is to show\n\n")
	writeTable(b, goalTable(all))
	for _, r := range all {
		r.markdown(b)
	}
	return b.String()
}

// environment says where the figures come from.
func environment(rounds int, started time.Time) [][]string {
	model, err := procValue("/proc/cpuinfo", "model name")
	if err != nil {
		model = "unknown"
	}
	memory, err := procValue("/proc/meminfo", "MemTotal")
	if err != nil {
		memory = "unknown"
	}
	lines := [][]string{
		{"date", started.UTC().Format("2006-01-02 15:04 UTC")},
		{"took", time.Since(started).Round(time.Second).String()},
		{"rounds", strconv.Itoa(rounds)},
		{"processor", fmt.Sprintf("%s, %d of them, GOMAXPROCS %d", model, runtime.NumCPU(), runtime.GOMAXPROCS(0))},
		{"memory", memory},
		{"kernel", fileText("/proc/sys/kernel/ostype") + " " + fileText("/proc/sys/kernel/osrelease")},
		{"load average at the end", fileText("/proc/loadavg")},
		{"Go", runtime.Version() + " " + runtime.GOARCH},
	}
	return append(lines, versions()...)
}

// versions are those of the peers that this binary was built with.
func versions() [][]string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil
	}
	var lines [][]string
	for _, m := range info.Deps {
		switch m.Path {
		case "github.com/coder/websocket", "github.com/lxzan/gws", "github.com/olahol/melody",
			"github.com/gorilla/websocket", "github.com/centrifugal/centrifuge":
			lines = append(lines, []string{m.Path, m.Version})
		case "github.com/carillon-rt/carillon":
			lines = append(lines, []string{m.Path, "this tree"})
		}
	}
	return lines
}
