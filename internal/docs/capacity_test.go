package docs

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestCapacity holds the figures of the page of operations to the last measurement: each is
// in the row of Carillon, or in that of Carillon with what the figure is about, of the
// section that it links to.
func TestCapacity(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations.md")
	require.NoError(t, err)
	results, err := os.ReadFile("../../benchmarks/RESULTS.md")
	require.NoError(t, err)
	_, text, found := strings.Cut(string(page), "\n## Capacity\n")
	require.True(t, found)
	text, _, _ = strings.Cut(text, "\n## ")
	rows := regexp.MustCompile(`(?m)^\| \[[^]]*\]\(\.\./benchmarks/RESULTS\.md#(\S+)\) \| ([\d.]+).*\|$`).FindAllStringSubmatch(text, -1)
	require.GreaterOrEqual(t, len(rows), 6)
	for _, row := range rows {
		anchor, figure := row[1], row[2]
		var section string
		for _, s := range strings.Split(string(results), "\n## ")[1:] {
			if title, body, _ := strings.Cut(s, "\n"); fragment(title) == anchor {
				section = body
			}
		}
		require.NotEmpty(t, section, "no section #%s", anchor)
		mine := regexp.MustCompile(`(?m)^\| carillon.*$`).FindAllString(section, -1)
		assert.Regexp(t, `\| `+regexp.QuoteMeta(figure)+` \|`, strings.Join(mine, "\n"),
			"docs/operations.md, Capacity: the last measurement has another figure for #%s", anchor)
	}
}
