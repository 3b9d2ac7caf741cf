package config

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// MaxFileBytes is how large a configuration may be.
const MaxFileBytes = 4 << 20

// maxSyntaxErrors is how many lines may be no TOML before reading is given up.
const maxSyntaxErrors = 20

// document is a TOML file: its values, and the line of each key.
type document struct {
	values map[string]any
	// lines are by paths such as "apps[0].webhooks[1].url".
	lines map[string]int
	// broken says that lines were left out, so that what seems to be missing may be there.
	broken bool
}

// parse reads as much as it can: a line that is no TOML is noted and left out.
func parse(text []byte, n *notes) *document {
	d := &document{values: make(map[string]any), lines: make(map[string]int)}
	if len(text) > MaxFileBytes {
		n.mistakes = append(n.mistakes, Problem{Text: fmt.Sprintf("file has %d bytes, the limit is %d", len(text), MaxFileBytes)})
		d.broken = true
		return d
	}
	text = bytes.Clone(text)
	for range maxSyntaxErrors {
		var values map[string]any
		err := toml.Unmarshal(text, &values)
		if err == nil {
			d.values = values
			d.findLines(text)
			return d
		}
		d.broken = true
		line := 1
		var at *toml.DecodeError
		if errors.As(err, &at) {
			line, _ = at.Position()
		}
		n.mistakes = append(n.mistakes, Problem{Line: line, Text: "is not valid TOML: " + syntax(err)})
		// What follows the header of a table that could not be read belongs to nothing.
		if !blank(text, line) {
			return d
		}
	}
	return d
}

// syntax is the library's message without its prefix.
func syntax(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	return strings.TrimPrefix(text, "toml: ")
}

// blank overwrites a line with spaces; it reports whether reading can go on without it.
func blank(text []byte, line int) bool {
	for at := 1; len(text) > 0; at++ {
		end := bytes.IndexByte(text, '\n')
		if end < 0 {
			end = len(text)
		}
		if at == line {
			content := bytes.TrimSpace(text[:end])
			if len(content) == 0 || content[0] == '[' {
				return false
			}
			for i := range text[:end] {
				text[i] = ' '
			}
			return true
		}
		text = text[min(end+1, len(text)):]
	}
	return false
}

// findLines notes the line of every key of a text that is valid.
func (d *document) findLines(text []byte) {
	var p unstable.Parser
	p.Reset(text)
	tables := make(map[string]int) // how many there are in each list of tables
	current := ""
	for p.NextExpression() {
		switch e := p.Expression(); e.Kind {
		case unstable.Table:
			current = d.keys(&p, "", e.Key(), tables, false)
		case unstable.ArrayTable:
			current = d.keys(&p, "", e.Key(), tables, true)
		case unstable.KeyValue:
			d.pair(&p, current, e)
		}
	}
}

// keys notes the keys of a dotted one below a path and returns the path that they lead
// to. The last key of the header of a list's table begins another one.
func (d *document) keys(p *unstable.Parser, path string, it unstable.Iterator, tables map[string]int, begins bool) string {
	for it.Next() {
		key := it.Node()
		path = join(path, string(key.Data))
		line := p.Shape(key.Raw).Start.Line
		if _, known := d.lines[path]; !known {
			d.lines[path] = line
		}
		if tables == nil {
			continue
		}
		if begins && it.IsLast() {
			tables[path]++
		}
		if count := tables[path]; count > 0 {
			path = fmt.Sprintf("%s[%d]", path, count-1)
			if _, known := d.lines[path]; !known {
				d.lines[path] = line
			}
		}
	}
	return path
}

func (d *document) pair(p *unstable.Parser, path string, pair *unstable.Node) {
	path = d.keys(p, path, pair.Key(), nil, false)
	d.value(p, path, pair.Value(), d.lines[path])
}

// value notes what is within a value that begins on a line.
func (d *document) value(p *unstable.Parser, path string, v *unstable.Node, line int) {
	if v.Raw.Length > 0 {
		line = p.Shape(v.Raw).Start.Line
	}
	d.lines[path] = line
	children := v.Children()
	switch v.Kind {
	case unstable.InlineTable:
		for children.Next() {
			d.pair(p, path, children.Node())
		}
	case unstable.Array:
		i := 0
		for ; children.Next(); i++ {
			d.value(p, fmt.Sprintf("%s[%d]", path, i), children.Node(), line)
		}
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
