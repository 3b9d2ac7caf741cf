package config

import (
	"fmt"
	"slices"
	"strings"
)

// Problem is a mistake, or something to be warned of.
type Problem struct {
	// Line is where it is in the file, from 1 on; 0 where it is not in the file.
	Line int
	// Where is the key, the flag with its dash, or the environment variable.
	Where string
	// Text says what is wrong. It never holds a secret.
	Text string
}

// String is one line for people.
func (p Problem) String() string {
	var s strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&s, "line %d: ", p.Line)
	}
	if p.Where != "" {
		s.WriteString(p.Where + ": ")
	}
	return s.String() + p.Text
}

// Mistakes are all that is wrong with a configuration: at least one, in the order of
// the file's lines.
type Mistakes []Problem

// Error has a line for each.
func (m Mistakes) Error() string {
	lines := make([]string, len(m))
	for i, p := range m {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// origin is where a setting was written.
type origin struct {
	line  int
	where string
}

// notes collect what is found, and remember where each setting was written, by the
// pointer to its field.
type notes struct {
	origins            map[any]origin
	mistakes, warnings []Problem
}

// set reports whether somebody has written the field.
func (n *notes) set(field any) bool { _, ok := n.origins[field]; return ok }

func (n *notes) wrong(field any, format string, args ...any) {
	n.mistakes = append(n.mistakes, n.problem(field, format, args...))
}

func (n *notes) warn(field any, format string, args ...any) {
	n.warnings = append(n.warnings, n.problem(field, format, args...))
}

func (n *notes) problem(field any, format string, args ...any) Problem {
	o := n.origins[field]
	return Problem{Line: o.line, Where: o.where, Text: fmt.Sprintf(format, args...)}
}

// at is how a mistake elsewhere names where the field is.
func (n *notes) at(field any) string {
	if o := n.origins[field]; o.line > 0 {
		return fmt.Sprintf("line %d", o.line)
	} else {
		return o.where
	}
}

func inOrder(all []Problem) []Problem {
	slices.SortStableFunc(all, func(a, b Problem) int { return a.Line - b.Line })
	return all
}
