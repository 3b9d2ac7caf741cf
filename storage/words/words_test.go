package words

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
)

// marked puts brackets around what was found.
func marked(data string, found Found) string {
	var b strings.Builder
	at := 0
	for _, s := range found.Spans {
		b.WriteString(data[at:s.Start] + "[" + data[s.Start:s.End] + "]")
		at = s.End
	}
	return b.String() + data[at:]
}

func TestFind(t *testing.T) {
	for _, c := range []struct{ query, data, want string }{
		{"hello", "Hello, world! hello again; hellos", "[Hello], world! [hello] again; hellos"},
		{"hel*", "Hello shell help", "[Hel]lo shell [hel]p"},
		{"world hello", "hello world", "[hello] [world]"},
		{"hello moon", "hello world", "hello world"},
		{"hello hello", "hello", "[hello]"},
		{"ÄRGER", "kein ärger, Ärgernis", "kein [ärger], Ärgernis"},
		{"σοφός", "ΣΟΦΌΣ", "[ΣΟΦΌΣ]"},
		{"don't", "I don't know t", "I [don]'[t] know [t]"},
		{"42", "answer 42 of 420", "answer [42] of 420"},
		{"世界", "你好，世界！", "你好，[世界]！"},
		{"界", "你好，世界！", "你好，世[界]！"},
		{"好世", "你好，世界！", "你好，世界！"},
		{"สวัสดี", "บอกว่าสวัสดีครับ", "บอกว่า[สวัสดี]ครับ"},
		{"ครับ", "บอกว่าสวัสดีครับ", "บอกว่าสวัสดี[ครับ]"},
		{"コーヒー", "熱いコーヒーを", "熱い[コーヒー]を"},
		{"iphone手机", "新iPhone和手机", "新[iPhone]和[手机]"},
		{"手* 手机", "手机", "[手机]"},
		{"hello", `{"hello":"world","text":"say hello"}`, `{"hello":"world","text":"say [hello]"}`},
		{"hello", `{"hello":"world"}`, `{"hello":"world"}`},
		{"hello", `["Hello",{"a" : [ "hello" ]}, "x"]`, `["[Hello]",{"a" : [ "[hello]" ]}, "x"]`},
		{"hello", `"hello"`, `"[hello]"`},
		{"hello", `{"broken":"hello"`, `{"broken":"[hello]"`},
		{"世界", `{"text":"\u4f60\u597d\u4e16\u754c!"}`, `{"text":"\u4f60\u597d[\u4e16\u754c]!"}`},
		{"𠮷", `{"text":"a\ud842\udfb7b"}`, `{"text":"a[\ud842\udfb7]b"}`},
		{"line", `{"text":"one\nline\"two\\"}`, `{"text":"one\n[line]\"two\\"}`},
		{"nline", `{"text":"one\nline"}`, `{"text":"one\nline"}`},
		{"ab", `{"a":"a","b":"b"}`, `{"a":"a","b":"b"}`},
		{"𝒳", "\xff𝒳\xff", "\xff[𝒳]\xff"},
		{"x", "", ""},
	} {
		q, err := Parse(c.query)
		require.NoError(t, err, c.query)
		found := q.Find([]byte(c.data))
		assert.Equal(t, c.want, marked(c.data, found), c.query)
		assert.Equal(t, len(found.Spans) > 0, found.Score > 0)
	}
}

func TestScore(t *testing.T) {
	q, err := Parse("tea")
	require.NoError(t, err)
	last := 2.0
	for _, data := range []string{"tea tea tea", "tea tea", "tea time", "tea " + strings.Repeat("and so on ", 20)} {
		score := q.Find([]byte(data)).Score
		assert.Less(t, score, last, data)
		last = score
	}
}

func TestParseRefuses(t *testing.T) {
	for text, problem := range map[string]string{
		"":                                 "has no word",
		" ?! *":                            "has no word",
		strings.Repeat("x", MaxQuery+1):    "is too long, in bytes: 513, the limit is 512",
		strings.Repeat("a b ", MaxTerms):   "has too many words: 32, the limit is 16",
		"\xff":                             "has no word",
		strings.Repeat("世a", MaxTerms/2+1): "has too many words: 18, the limit is 16",
	} {
		_, err := Parse(text)
		require.ErrorIs(t, err, storage.ErrBadQuery)
		var bad *storage.QueryError
		require.ErrorAs(t, err, &bad)
		assert.ErrorContains(t, err, problem)
	}
}

func TestTokens(t *testing.T) {
	assert.Equal(t, []string{"hello", "你好", "好吗", "吗", "b"}, Tokens([]byte("Hello 你好吗? B")))
	assert.Equal(t, []string{strings.Repeat("é", 48)}, Tokens([]byte(strings.Repeat("É", 100))))
	assert.Empty(t, Tokens(nil))
	q, err := Parse("Hello wor* 你好吗 吗 " + strings.Repeat("x", 60) + "*")
	require.NoError(t, err)
	assert.Equal(t, []Token{{"hello", false}, {"wor", true}, {"你好", false}, {"好吗", false}, {"吗", true}, {strings.Repeat("x", 48), false}}, q.Tokens())
}

// indexed reports whether an index of tokens would return an event.
func indexed(tokens []string, query []Token) bool {
	for _, want := range query {
		if !slices.ContainsFunc(tokens, func(is string) bool { return is == want.Text || want.Prefix && strings.HasPrefix(is, want.Text) }) {
			return false
		}
	}
	return true
}

// FuzzFind has an index return all that is found, and spans be places in the data.
func FuzzFind(f *testing.F) {
	for _, seed := range []string{"hello world", `{"a":"b\u4e16c"}`, "世界 abc สวัสดี", "\xff\xfe", `["\ud83d","\\"]`, `"\ud842\udfb7"`} {
		f.Add(seed, "hello")
		f.Add(seed, "世 界*")
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, data, query string) {
		q, err := Parse(query)
		if err != nil {
			return
		}
		found := q.Find([]byte(data))
		last := 0
		for _, s := range found.Spans {
			require.GreaterOrEqual(t, s.Start, last)
			require.Greater(t, s.End, s.Start)
			last = s.End
		}
		require.LessOrEqual(t, last, len(data))
		tokens := Tokens([]byte(data))
		if len(found.Spans) > 0 {
			require.True(t, indexed(tokens, q.Tokens()))
		}
		for _, token := range tokens {
			require.True(t, utf8.ValidString(token))
			require.NotContains(t, token, " ")
			require.NotContains(t, token, `"`)
		}
		// What is text is found in JSON as well.
		if utf8.ValidString(data) && !isJSON([]byte(data)) {
			quoted, err := json.Marshal(map[string]string{"key": data})
			require.NoError(t, err)
			require.Equal(t, len(found.Spans) > 0, len(q.Find(quoted).Spans) > 0)
		}
	})
}
