package surrogate_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"go.uber.org/goleak"

	"github.com/carillon-rt/carillon/internal/surrogate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLone(t *testing.T) {
	for text, want := range map[string]bool{
		`""`:                         false,
		`"plain"`:                    false,
		`"\u00e9\n\\\"\ufffd"`:       false,
		`"\ud83d\ude00"`:             false,
		`"\uD83D\uDE00\uD83D\uDE00"`: false,
		`"\\ud83d"`:                  false, // an escaped backslash and text
		`"\ue000\ucfff\u0d80"`:       false, // not in the range
		`["a",{"b":"\ud83d\ude00"}]`: false,
		`"\ud83d"`:                   true,
		`"\uDE00"`:                   true,
		`"\\\ud83d"`:                 true,
		`"\ude00\ud83d"`:             true, // the wrong way round
		`"\ud83d\ud83d\ude00"`:       true,
		`"\ud83d\ude00\ude00"`:       true,
		`"\ud83dx\ude00"`:            true,
		`"\ud83d\n"`:                 true,
		`"\ud83d\u0041"`:             true,
		`["\ud83d","\ude00"]`:        true, // halves of two strings
		`{"\udbff":1}`:               true,
	} {
		assert.True(t, json.Valid([]byte(text)), text)
		assert.Equal(t, want, surrogate.Lone([]byte(text)), text)
	}
}

// FuzzLone compares with what encoding/json makes of a string.
func FuzzLone(f *testing.F) {
	for _, s := range []string{`"\ud83d\ude00"`, `"\ud83d"`, `"\\ud83d\ufffd"`, `"\`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		lone := surrogate.Lone(data) // whatever it is
		var text string
		if !utf8.Valid(data) || json.Unmarshal(data, &text) != nil {
			return
		}
		meant := strings.Count(strings.ToLower(string(data)), `\ufffd`) + strings.Count(string(data), "\ufffd")
		if lone {
			assert.Contains(t, text, "\ufffd")
		} else {
			assert.LessOrEqual(t, strings.Count(text, "\ufffd"), meant)
		}
	})
}
