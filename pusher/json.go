package pusher

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/internal/surrogate"
)

// field is one that parseObject looks for; one of text and raw is set. null
// counts as absent where a text is wanted, and raw refers to the parsed data.
type field struct {
	name string
	text *string
	raw  *json.RawMessage
}

// parseObject takes fields out of a JSON object, without building a map or
// decoding what is not asked for. Of fields that come twice the last counts.
func parseObject(data []byte, what string, fields ...field) error {
	if data = bytes.Trim(data, " \t\r\n"); len(data) == 0 || data[0] != '{' {
		return &broker.FieldError{Field: what, Problem: "is not a JSON object"}
	}
	if !json.Valid(data) {
		err := json.Unmarshal(data, new(json.RawMessage))
		return &broker.FieldError{Field: what, Problem: "is not valid JSON: " + err.Error()}
	}
	return takeFields(data, fields)
}

// takeFields does what parseObject does, with data that is known to be a JSON
// object and nothing else.
func takeFields(data []byte, fields []field) error {
	rest := skipSpace(data[1:])
	for rest[0] == '"' {
		var key, value []byte
		key, rest = splitValue(rest)
		rest = skipSpace(skipSpace(rest)[1:]) // the colon
		value, rest = splitValue(rest)
		for i := range fields {
			if isText(key, fields[i].name) {
				if err := fields[i].set(value); err != nil {
					return err
				}
			}
		}
		if rest = skipSpace(rest); rest[0] == ',' {
			rest = skipSpace(rest[1:])
		}
	}
	return nil
}

// isText reports whether a JSON string has this text.
func isText(quoted []byte, text string) bool {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1:len(quoted)-1]) == text
	}
	decoded, _ := jsonString(quoted)
	return decoded == text
}

func (f *field) set(value []byte) error {
	if f.raw != nil {
		*f.raw = value
		return nil
	}
	text, ok := jsonString(value)
	switch {
	case !ok && string(value) != "null":
		// A copy: otherwise all that f refers to would be allocated every time.
		return &broker.FieldError{Field: strings.Clone(f.name), Problem: "is not a string"}
	case surrogate.Lone(value):
		return halfPair(strings.Clone(f.name))
	}
	*f.text = text
	return nil
}

// halfPair refuses text with half of a surrogate pair, which decodes to another text.
func halfPair(field string) error {
	return &broker.FieldError{Field: field, Problem: "holds half of a surrogate pair, which is no character"}
}

// splitValue splits valid JSON, of which more must follow, after its first value.
func splitValue(data []byte) (value, rest []byte) {
	depth := 0
	for i := 0; ; i++ {
		switch data[i] {
		case '"':
			for i++; data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		default:
			// A number or a name ends before what separates values.
			if next := data[i+1]; depth > 0 || next != ',' && next != '}' && !isSpace(next) {
				continue
			}
		}
		if depth == 0 {
			return data[:i+1], data[i+1:]
		}
	}
}

func skipSpace(data []byte) []byte {
	for isSpace(data[0]) {
		data = data[1:]
	}
	return data
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// jsonString returns the text of a JSON string. Where surrogate.Lone finds
// something it is not the text that was meant.
func jsonString(data []byte) (text string, ok bool) {
	if len(data) < 2 || data[0] != '"' {
		return "", false
	}
	if bytes.IndexByte(data, '\\') < 0 {
		return string(data[1 : len(data)-1]), true
	}
	var decoded string // not text itself, which would be allocated every time
	ok = json.Unmarshal(data, &decoded) == nil
	return decoded, ok
}

// stringList returns a JSON list of strings; null counts as absent.
func stringList(name string, data []byte) ([]string, error) {
	if len(data) == 0 {
		return nil, nil
	}
	var list []string
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, &broker.FieldError{Field: name, Problem: "is not a list of strings"}
	}
	if surrogate.Lone(data) {
		return nil, halfPair(name)
	}
	return list, nil
}
