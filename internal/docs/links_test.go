package docs

import (
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// documents are the paths of all Markdown files, from the root.
func documents(t *testing.T) (paths []string) {
	t.Helper()
	root := filepath.Join("..", "..")
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && (name == "node_modules" || name == "dist" || path != root && strings.HasPrefix(name, ".")) {
			return filepath.SkipDir
		}
		if !entry.IsDir() && filepath.Ext(name) == ".md" {
			from, err := filepath.Rel(root, path)
			require.NoError(t, err)
			paths = append(paths, filepath.ToSlash(from))
		}
		return nil
	}))
	require.Contains(t, paths, "README.md")
	return paths
}

var (
	fenced  = regexp.MustCompile("(?ms)^```.*?^```$")
	quoted  = regexp.MustCompile("`[^`\n]*`")
	links   = regexp.MustCompile(`\]\(([^()\s]+)\)|(?:src|srcset|href)="([^"]+)"`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
)

// prose is a document without its code.
func prose(t *testing.T, document string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", document))
	require.NoError(t, err)
	return fenced.ReplaceAllString(string(text), "")
}

// anchors are the fragments by which the headings of a document are linked to.
func anchors(t *testing.T, document string) (all []string) {
	t.Helper()
	for _, h := range heading.FindAllStringSubmatch(prose(t, document), -1) {
		all = append(all, fragment(h[1]))
	}
	return all
}

// fragment is what GitHub makes of a heading.
func fragment(heading string) string {
	other := regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
	return strings.ReplaceAll(other.ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
}

// broken is what is wrong with a link of a document; empty if nothing is.
func broken(t *testing.T, document, link string) string {
	t.Helper()
	u, err := url.Parse(link)
	if err != nil {
		return err.Error()
	}
	if u.Scheme != "" || u.Host != "" {
		return "" // elsewhere
	}
	target := document
	if u.Path != "" {
		target = filepath.ToSlash(filepath.Join(filepath.Dir(document), u.Path))
		if _, err := os.Stat(filepath.Join("..", "..", target)); err != nil {
			return "there is no " + target
		}
	}
	if u.Fragment != "" && filepath.Ext(target) == ".md" && !slices.Contains(anchors(t, target), u.Fragment) {
		return "there is no heading #" + u.Fragment + " in " + target
	}
	return ""
}

// TestLinks follows every link of every document that leads to a file, and to a heading in it.
func TestLinks(t *testing.T) {
	followed := 0
	for _, document := range documents(t) {
		text := quoted.ReplaceAllString(prose(t, document), "code")
		for _, l := range links.FindAllStringSubmatch(text, -1) {
			followed++
			link := l[1] + l[2]
			assert.Empty(t, broken(t, document, link), "%s links to %s", document, link)
		}
	}
	assert.Greater(t, followed, 20, "links")
}

// TestBrokenLinksAreFound checks the check.
func TestBrokenLinksAreFound(t *testing.T) {
	for link, right := range map[string]bool{
		"resume.md": true, "../README.md#limits": true, "../broker": true, "#mobile-clients": true, "https://example.com/none": true,
		"none.md": false, "../README.md#no-limits": false, "#none": false, "../none/": false,
	} {
		assert.Equal(t, right, broken(t, "docs/resume.md", link) == "", link)
	}
}

// TestEveryPageIsLinked sees to it that who reads the README can find each page of docs/.
func TestEveryPageIsLinked(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	for _, document := range documents(t) {
		if strings.HasPrefix(document, "docs/") {
			assert.True(t, strings.Contains(string(readme), "("+document), "the README has no link to %s", document)
		}
	}
}

// TestProxies sees to it that the README shows proxies as the page of operations does,
// whose blocks the tests of conformance run.
func TestProxies(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations.md")
	require.NoError(t, err)
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?ms)^```(?:nginx|caddy)\n(.*?^```)$").FindAllStringSubmatch(string(readme), -1)
	require.Len(t, blocks, 2)
	for _, block := range blocks {
		assert.True(t, strings.Contains(string(page), "\n"+block[1]), "docs/operations.md does not show\n%s", block[1])
	}
}
