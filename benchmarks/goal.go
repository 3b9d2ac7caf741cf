package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// goal is a figure that Carillon is to show.
type goal struct {
	// metric is the figure; in a row of another label than Carillon's if label is
	// set.
	label, metric string
	// of divides it: by the same metric of that label, by ofMetric of the same
	// label, or by neither.
	of, ofMetric string
	// limit is the most that the quotient may be, or the least.
	limit float64
	least bool
	// why explains, from profiles, what is in the way of a figure that falls
	// short; empty where nothing is known to be.
	why string
}

// String says what is to be shown, as "CPU µs/delivery ≤ 1.10 × floor".
func (g goal) String() string {
	var b strings.Builder
	if g.label != "" {
		b.WriteString(g.label + " ")
	}
	b.WriteString(g.metric + " ")
	if g.least {
		b.WriteString("≥ ")
	} else {
		b.WriteString("≤ ")
	}
	b.WriteString(strconv.FormatFloat(g.limit, 'f', -1, 64))
	if other := g.of + g.ofMetric; other != "" {
		b.WriteString(" × " + other)
	}
	return b.String()
}

// figure is the quotient of the medians, and NaN where one was not measured.
func (g goal) figure(r *results) float64 {
	label := g.label
	if label == "" {
		label = carillonPeer
	}
	v := median(r.values[label][g.metric])
	switch {
	case g.of != "":
		v /= median(r.values[g.of][g.metric])
	case g.ofMetric != "":
		v /= median(r.values[label][g.ofMetric])
	}
	return v
}

// missed compares to the hundredth, as figures are shown.
func (g goal) missed(r *results) bool {
	v := math.Round(g.figure(r)*100) / 100
	if g.least {
		return v < g.limit
	}
	return v > g.limit
}

// goalTable has a line for each goal whose figures were measured.
func goalTable(all []*results) [][]string {
	lines := [][]string{{"scenario", "to show", "shown", ""}}
	for _, r := range all {
		for _, g := range r.scenario.goals {
			v := g.figure(r)
			if math.IsNaN(v) {
				continue
			}
			verdict := "met"
			if g.missed(r) {
				verdict = "**short**"
			}
			lines = append(lines, []string{fmt.Sprintf("%d. %s", r.scenario.number, r.scenario.title), g.String(), number(v), verdict})
		}
	}
	return lines
}
