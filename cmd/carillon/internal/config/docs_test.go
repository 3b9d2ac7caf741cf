package config

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestEverySettingIsDocumented holds docs/server.md to the settings that there are: keys,
// defaults and flags.
func TestEverySettingIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../../../docs/server.md")
	require.NoError(t, err)
	documented := make(map[string][]string)
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_.]+)` \\|(.*)\\|$").FindAllStringSubmatch(string(text), -1) {
		cells := strings.Split(row[2], " | ")
		for i := range cells {
			cells[i] = strings.Trim(strings.TrimSpace(cells[i]), "|` ")
		}
		documented[row[1]] = cells
	}
	var keys []string
	var walk func(v reflect.Value, path string)
	walk = func(v reflect.Value, path string) {
		fieldsOf(v, func(key string, field reflect.StructField, value reflect.Value) {
			key = join(path, key)
			switch {
			case value.Kind() == reflect.Struct:
				walk(value, key)
				return
			case key == "apps.channels":
				return // those of channels
			case value.Kind() == reflect.Slice && value.Type().Elem().Kind() == reflect.Struct:
				one := reflect.New(value.Type().Elem()).Elem()
				switch one.Interface().(type) {
				case App:
					one.Set(reflect.ValueOf(defaultApp()))
				case Channel:
					one.Set(reflect.ValueOf(defaultChannel()))
				}
				walk(one, key)
				return
			}
			keys = append(keys, key)
			cells := documented[key]
			if !assert.NotEmpty(t, cells, "%s is not in docs/server.md", key) {
				return
			}
			if d := describe(value); d != "" && key != "apps.origins" && value.Type() != durationType {
				assert.Equal(t, d, cells[0], "the default of %s", key)
			}
			name := field.Tag.Get("flag")
			if name == "" && field.Tag.Get("help") != "" {
				name = strings.NewReplacer(".", "-", "_", "-").Replace(key)
			}
			if name != "" {
				assert.Equal(t, "-"+name, cells[1], "the flag of %s", key)
			}
		})
	}
	walk(reflect.ValueOf(new(Default())).Elem(), "")
	for key := range documented {
		assert.True(t, slices.Contains(keys, key), "%s of docs/server.md is no setting", key)
	}
}

// FuzzParse holds that no text is too much for the parser, and that whatever it says of
// one has a line of it.
func FuzzParse(f *testing.F) {
	example, err := os.ReadFile("../../carillon.example.toml")
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{"", app, string(example), "a.b.c = [[1, {x = 1}]]", "[[apps]]\n[[apps.webhooks]]\n[apps.limits]\n", "listen = [\n\"\n", "[a\n[[apps]]\nid = \"${X}\"",
		"apps = [{id = \"1\", webhooks = [{}]}]", "\"\" = 1\n\"apps[0]\" = 1", "[[channels]]\npattern = \"[\"\nrewind = -9223372036854775808"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "${file:") {
			return // which would read what is on this machine
		}
		c, err := parseText([]byte(text), nothing)
		if err == nil {
			require.NotNil(t, c)
			return
		}
		var all Mistakes
		require.ErrorAs(t, err, &all)
		require.NotEmpty(t, all)
		lines := strings.Count(text, "\n") + 1
		for _, m := range all {
			require.True(t, m.Line >= 1 && m.Line <= lines, "%s", m)
			require.NotEmpty(t, m.Text)
		}
	})
}
