package main

import (
	"bufio"
	"context"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// start runs the program until the test ends and returns the URL that it prints.
func start(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, printed := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, "127.0.0.1:0", printed) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-ended)
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSpace(line[strings.Index(line, "http://"):])
}

// page is the page, and the address that it has the browser open as an EventSource.
func page(t *testing.T, base string) (text, feed string) {
	t.Helper()
	resp, err := client.Get(base)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	connect := regexp.MustCompile(`sse-connect="([^"]*)"`).FindSubmatch(body)
	require.NotNil(t, connect, "%s", body)
	return string(body), base + html.UnescapeString(string(connect[1]))
}

func add(t *testing.T, base, text string) {
	t.Helper()
	resp, err := client.PostForm(base+"/notes", url.Values{"text": {text}})
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusNoContent, resp.StatusCode)
}

// eventSource reads a feed as a browser does: sse-swap listens for events by name.
type eventSource struct {
	t    *testing.T
	resp *http.Response
	text *bufio.Reader
	last string
}

func open(t *testing.T, feed, last string) *eventSource {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", feed, nil)
	require.NoError(t, err)
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	resp, err := client.Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { _ = resp.Body.Close() })
	require.Equal(t, http.StatusOK, resp.StatusCode)
	return &eventSource{t: t, resp: resp, text: bufio.NewReader(resp.Body), last: last}
}

// next returns the data of the next event named note, which has to be the next event.
func (e *eventSource) next() string {
	e.t.Helper()
	name, data := "message", []string(nil)
	for {
		line, err := e.text.ReadString('\n')
		require.NoError(e.t, err)
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case field == "id":
			e.last = value
		case field == "event":
			name = value
		case field == "data":
			data = append(data, value)
		case line == "\n" && data != nil:
			require.Equal(e.t, "note", name)
			return strings.Join(data, "\n")
		}
	}
}

func TestPagesGrowByFragments(t *testing.T) {
	base := start(t)
	text, feed := page(t, base)
	assert.NotContains(t, text, "<li>")
	add(t, base, "while the page was on its way")
	tab := open(t, feed, "")
	assert.Equal(t, "<li>while the page was on its way</li>", tab.next())
	add(t, base, "<b>bold</b>")
	assert.Equal(t, "<li>&lt;b&gt;bold&lt;/b&gt;</li>", tab.next())

	// The browser connects again by itself, and misses nothing.
	require.NoError(t, tab.resp.Body.Close())
	add(t, base, "while it was away")
	again := open(t, feed, tab.last)
	assert.Equal(t, "<li>while it was away</li>", again.next())
	add(t, base, "now")
	assert.Equal(t, "<li>now</li>", again.next())

	// Who comes later sees all of it, and then goes on.
	text, feed = page(t, base)
	assert.Equal(t, 4, strings.Count(text, "<li>"))
	late := open(t, feed, "")
	add(t, base, "last")
	assert.Equal(t, "<li>last</li>", late.next())
}

func TestNotesAreChecked(t *testing.T) {
	base := start(t)
	for _, text := range []string{"", strings.Repeat("x", 1001)} {
		resp, err := client.PostForm(base+"/notes", url.Values{"text": {text}})
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, http.StatusBadRequest, resp.StatusCode)
	}
}
