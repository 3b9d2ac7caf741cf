package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// inProcessLimit is how long the Go benchmarks may run.
const inProcessLimit = 15 * time.Minute

// inProcessScenario runs this package's Go benchmarks.
func inProcessScenario() scenario {
	const grow, distinct = "PublishAsChannelsGrow/", "PublishToDistinctChannels/"
	return scenario{
		number: 10,
		title:  "In process, no sockets",
		how: "Carillon's Go benchmarks: memory and publish time with up to a million channels of one subscriber each, " +
			"publishing from several goroutines to distinct channels, and deliveries to Go code. Below them are the waits " +
			"for locks while eight goroutines publish.",
		text: (*env).inProcess,
		goals: []goal{
			{label: grow + "in_turn/1000000", metric: "ns/op", of: grow + "in_turn/1000", limit: 1.5,
				why: "what is added is about what a look-up in a bare map adds, see above: one wait for memory and for the " +
					"page tables on the way to it, which no publish by name can do without. All else lies where the " +
					"processor fetches it ahead."},
			{label: grow + "at_random/1000000", metric: "ns/op", of: grow + "at_random/1000", limit: 1.5,
				why: "with a million channels nothing of one that is picked at random is in a cache. Besides the map's " +
					"bucket a publish waits for the map's entry, the channel, the subscription and its queue, one after " +
					"another, since each is known only from the one before."},
			{label: "ChannelsWithOneSubscriber/1000000", metric: "B/channel", of: "ChannelsWithOneSubscriber/1000", limit: 1.5},
			{label: distinct + "2", metric: "cpu-ns/op", of: distinct + "1", limit: 1.5},
			{label: distinct + "8", metric: "cpu-ns/op", of: distinct + "1", limit: 1.5},
			{label: "InProcessDeliveries/10", metric: "deliveries/s", limit: 5e6, least: true},
			{label: "InProcessDeliveries/1000", metric: "deliveries/s", limit: 5e6, least: true},
			{label: "InProcessDeliveries/1000", metric: "allocs/delivery", limit: 0},
		},
	}
}

func (e *env) inProcess() (string, []row, error) {
	folder, err := os.MkdirTemp("", "carillon-benchmarks")
	if err != nil {
		return "", nil, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	out, err := e.goTest(".")
	if err != nil {
		return "", nil, err
	}
	var text strings.Builder
	var rows []row
	for line := range strings.Lines(out) {
		if r, ok := parseBenchmark(line); ok {
			text.WriteString(line)
			rows = append(rows, r)
		}
	}
	_, _ = fmt.Fprint(e.log, text.String())
	binary, waits := filepath.Join(folder, "test"), filepath.Join(folder, "mutex.prof")
	if _, err := e.goTest("PublishToDistinctChannels/8", "-mutexprofile", waits, "-o", binary); err != nil {
		return "", nil, err
	}
	top, err := topOf(binary, waits)
	return text.String() + "\n" + top, rows, err
}

// goTest runs the benchmarks that match pattern.
func (e *env) goTest(pattern string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), inProcessLimit)
	defer cancel()
	args = append([]string{"test", "-run", "^$", "-bench", pattern, "-timeout", inProcessLimit.String()}, args...)
	if e.quick {
		args = append(args, "-short", "-benchtime", "10x")
	}
	out, err := exec.CommandContext(ctx, "go", append(args, ".")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// parseBenchmark takes the figures from a line that go test prints for a
// benchmark: "BenchmarkName/sub-2  1000  12.3 ns/op  0 allocs/op".
func parseBenchmark(line string) (row, bool) {
	fields := strings.Fields(line)
	name, ok := "", false
	if len(fields) > 2 {
		name, ok = strings.CutPrefix(fields[0], "Benchmark")
	}
	if !ok {
		return row{}, false
	}
	if i := strings.LastIndexByte(name, '-'); i >= 0 {
		name = name[:i]
	}
	r := row{label: name}
	for i := 2; i+1 < len(fields); i += 2 {
		v, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return row{}, false
		}
		r.metrics = append(r.metrics, metric{fields[i+1], v})
	}
	return r, true
}
