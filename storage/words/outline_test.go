package words

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// No event scores higher than its outline says, and a query that is exact finds whatever has
// its tokens.
func TestOutline(t *testing.T) {
	long := strings.Repeat("long", 20)
	words := rapid.SampledFrom([]string{"a", "ab", "abc", "abcd", "abcde", "ba", "b", "é", "éa", "世界", "世", "界世界世", "世界世", "a世b", long, long + "er",
		strings.Repeat("tea ", 70), strings.Repeat("x", maxToken), strings.Repeat("x", maxToken-1), strings.Repeat("x", maxToken+1)})
	joined := func(t *rapid.T, name string, least, most int) string {
		return strings.Join(rapid.SliceOfN(words, least, most).Draw(t, name), rapid.SampledFrom([]string{" ", "", ", "}).Draw(t, name+" apart"))
	}
	rapid.Check(t, func(t *rapid.T) {
		text := joined(t, "text", 0, 12)
		if rapid.Bool().Draw(t, "JSON") {
			text = `{"key":"` + text + `"}`
		}
		query := joined(t, "query", 1, 3)
		if rapid.Bool().Draw(t, "prefix") {
			query += "*"
		}
		q, err := Parse(query)
		if err != nil {
			return
		}
		tokens, outline := Index([]byte(text))
		require.Less(t, outline, Outline(1)<<63)
		found := q.Find([]byte(text))
		assert.LessOrEqual(t, found.Score, q.Bound(outline))
		all := true
		for _, want := range q.Tokens() {
			has := false
			for _, token := range tokens {
				has = has || token == want.Text || want.Prefix && strings.HasPrefix(token, want.Text)
			}
			all = all && has
		}
		if all && q.Exact() {
			assert.NotEmpty(t, found.Spans)
		}
	})
}

// Where no word comes more often than another, the bound is the score.
func TestOutlineIsTight(t *testing.T) {
	for query, text := range map[string]string{
		"tea": "tea time", "tea time": "tea time", "te*": "tea time and more", "tim*": "tea time and more", "世界": "世界 and more",
	} {
		q, err := Parse(query)
		require.NoError(t, err)
		_, outline := Index([]byte(text))
		assert.True(t, q.Exact())
		if want := q.Find([]byte(text)).Score; query != "te*" {
			assert.Equal(t, want, q.Bound(outline), query)
		}
	}
	_, none := Index([]byte("!"))
	assert.Zero(t, none)
}
