package config

import (
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
)

// decoder writes a document into Settings.
type decoder struct {
	*notes
	doc *document
	env func(string) string
}

var durationType = reflect.TypeFor[time.Duration]()

// fieldsOf yields the fields of a struct by their keys, in the order of the code.
func fieldsOf(v reflect.Value, f func(key string, field reflect.StructField, value reflect.Value)) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		f(field.Tag.Get("key"), field, v.Field(i))
	}
}

// table decodes the table at a path.
func (d *decoder) table(path string, from map[string]any, to reflect.Value) {
	var known []string
	fieldsOf(to, func(key string, field reflect.StructField, v reflect.Value) {
		known = append(known, key)
		if value, ok := from[key]; ok {
			d.value(join(path, key), value, v)
		}
	})
	for _, key := range slices.Sorted(maps.Keys(from)) {
		if !slices.Contains(known, key) {
			d.mistake(join(path, key), "there is no such setting%s", didYouMean(key, known))
		}
	}
}

// mistake is one at a path of the document.
func (d *decoder) mistake(path, format string, args ...any) {
	d.mistakes = append(d.mistakes, Problem{d.doc.lines[path], keyOf(path), fmt.Sprintf(format, args...)})
}

var index = regexp.MustCompile(`\[\d+\]`)

// keyOf is how people know a path: without numbers, which the line says better.
func keyOf(path string) string { return index.ReplaceAllString(path, "") }

// value decodes one value. What it is set to is worth checking only if it was decoded.
func (d *decoder) value(path string, from any, to reflect.Value) {
	ok := false
	switch {
	case to.Type() == durationType:
		ok = d.duration(path, from, to)
	case to.Kind() == reflect.Struct:
		if table, is := from.(map[string]any); is {
			d.table(path, table, to)
			ok = true
		} else {
			d.mistake(path, "has to be a table, [%s], and is %s", keyOf(path), kindOf(from))
		}
	case to.Kind() == reflect.Slice && to.Type().Elem().Kind() == reflect.Struct:
		ok = d.tables(path, from, to)
	case to.Kind() == reflect.Slice:
		ok = d.strings(path, from, to)
	case to.Kind() == reflect.Map:
		ok = d.headers(path, from, to)
	default:
		ok = d.scalar(path, from, to)
	}
	if ok {
		d.origins[to.Addr().Interface()] = origin{d.doc.lines[path], keyOf(path)}
	}
}

func (d *decoder) tables(path string, from any, to reflect.Value) bool {
	list, ok := from.([]any)
	if !ok {
		d.mistake(path, "has to be a list of tables, each under [[%s]], and is %s", keyOf(path), kindOf(from))
		return false
	}
	to.Set(reflect.MakeSlice(to.Type(), len(list), len(list)))
	for i, item := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		if a, is := to.Index(i).Addr().Interface().(*App); is {
			*a = defaultApp()
		}
		if c, is := to.Index(i).Addr().Interface().(*Channel); is {
			*c = defaultChannel()
		}
		d.value(at, item, to.Index(i))
	}
	return true
}

// strings decodes a list of texts; one may stand alone.
func (d *decoder) strings(path string, from any, to reflect.Value) bool {
	list, many := from.([]any)
	if !many {
		list = []any{from}
	}
	all := make([]string, len(list))
	for i, item := range list {
		at := path
		if many {
			at = fmt.Sprintf("%s[%d]", path, i)
		}
		s, is := item.(string)
		if !is {
			d.mistake(at, "has to be text, in quotes, or a list of texts, and is %s", kindOf(item))
			return false
		}
		if all[i], is = d.expand(at, s); !is {
			return false
		}
		d.origins[&all[i]] = origin{d.doc.lines[at], keyOf(path)}
	}
	to.Set(reflect.ValueOf(all))
	return true
}

func (d *decoder) headers(path string, from any, to reflect.Value) bool {
	table, ok := from.(map[string]any)
	if !ok {
		d.mistake(path, "has to be a table of names and texts, and is %s", kindOf(from))
		return false
	}
	all := make(map[string]string, len(table))
	for name, item := range table {
		at := join(path, name)
		s, is := item.(string)
		if !is {
			d.mistake(at, "has to be text, in quotes, and is %s", kindOf(item))
			continue
		}
		all[name], _ = d.expand(at, s)
	}
	to.Set(reflect.ValueOf(all))
	return true
}

func (d *decoder) duration(path string, from any, to reflect.Value) bool {
	s, ok := from.(string)
	if !ok {
		d.mistake(path, `has to be a time with its unit, in quotes, such as "45s" or "1h30m", and is %s`, kindOf(from))
		return false
	}
	v, err := time.ParseDuration(s)
	if err != nil {
		d.mistake(path, `%q is no time: write a number and a unit, such as "500ms", "45s" or "1h30m"`, s)
		return false
	}
	to.SetInt(int64(v))
	return true
}

func (d *decoder) scalar(path string, from any, to reflect.Value) bool {
	wants := map[reflect.Kind]string{reflect.String: "text, in quotes", reflect.Bool: "true or false",
		reflect.Int: "a whole number", reflect.Float64: "a number"}[to.Kind()]
	switch v := from.(type) {
	case string:
		if to.Kind() == reflect.String {
			text, ok := d.expand(path, v)
			if ok {
				to.SetString(text)
			}
			return ok
		}
	case bool:
		if to.Kind() == reflect.Bool {
			to.SetBool(v)
			return true
		}
	case int64:
		if to.Kind() == reflect.Int {
			to.SetInt(v)
			return true
		}
		if to.Kind() == reflect.Float64 {
			to.SetFloat(float64(v))
			return true
		}
	case float64:
		if to.Kind() == reflect.Float64 {
			to.SetFloat(v)
			return true
		}
	}
	d.mistake(path, "has to be %s, and is %s", wants, kindOf(from))
	return false
}

var reference = regexp.MustCompile(`^\$\{(file:)?([^{}]+)\}$`)

// maxReferenced bounds the file that a text refers to, in bytes.
const maxReferenced = 64 << 10

// expand returns a text, or what it refers to where it is "${NAME}" or "${file:PATH}":
// so secrets need not be in the file.
func (d *decoder) expand(path, s string) (text string, ok bool) {
	found := reference.FindStringSubmatch(s)
	switch {
	case found == nil:
		return s, true
	case found[1] == "":
		v := d.env(found[2])
		if v == "" {
			d.mistake(path, "the environment variable %s is not set, or empty", found[2])
		}
		return v, v != ""
	}
	info, err := os.Stat(found[2])
	if err == nil && (!info.Mode().IsRegular() || info.Size() > maxReferenced) {
		err = fmt.Errorf("%s is no file of at most %d bytes", found[2], maxReferenced)
	}
	var content []byte
	if err == nil {
		content, err = os.ReadFile(found[2])
	}
	if err != nil {
		d.mistake(path, "%v", err)
	}
	return strings.TrimSpace(string(content)), err == nil
}

// kindOf says what a value is, never what it holds: that may be a secret.
func kindOf(v any) string {
	switch v.(type) {
	case string:
		return "text"
	case bool:
		return "true or false"
	case int64:
		return "a whole number"
	case float64:
		return "a number with a point"
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	default:
		return "a date or a time"
	}
}

// didYouMean names the known key that is nearest to one that is not, if any is near.
func didYouMean(key string, known []string) string {
	best, least := "", max(len(key)/3, 1)+1
	for _, k := range known {
		if n := distance(key, k); n < least {
			best, least = k, n
		}
	}
	if best == "" {
		return ""
	}
	return ": did you mean " + best + "?"
}

// distance is how many characters have to be written, deleted or changed to make b of a.
func distance(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
