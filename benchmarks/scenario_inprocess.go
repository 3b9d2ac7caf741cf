package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// inProcessLimit is how long the Go benchmarks may run.
const inProcessLimit = 15 * time.Minute

// inProcessScenario runs this package's Go benchmarks.
func inProcessScenario() scenario {
	return scenario{
		number: 10,
		title:  "In process, no sockets",
		how: "Carillon's Go benchmarks: memory and publish time with up to a million channels of one subscriber each, " +
			"publishing from several goroutines to distinct channels, and deliveries to Go code.",
		text: func(e *env) (string, error) {
			ctx, cancel := context.WithTimeout(context.Background(), inProcessLimit)
			defer cancel()
			args := []string{"test", "-run", "^$", "-bench", ".", "-timeout", inProcessLimit.String()}
			if e.quick {
				args = append(args, "-short", "-benchtime", "10x")
			}
			out, err := exec.CommandContext(ctx, "go", append(args, ".")...).CombinedOutput()
			if err != nil {
				return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
			}
			var lines []string
			for line := range strings.Lines(string(out)) {
				if strings.HasPrefix(line, "Benchmark") {
					lines = append(lines, line)
				}
			}
			text := strings.Join(lines, "")
			_, _ = fmt.Fprint(e.log, text)
			return text, nil
		},
	}
}
