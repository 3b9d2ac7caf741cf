package pusher

import (
	"net/http"
	"net/url"
	"strings"
)

// MergeSlashes returns a handler that gives next each request with every run of
// slashes in its path made one, up to the part that names an app of the HTTP API:
// a user ID behind it may hold slashes.
//
// It belongs around http.ServeMux, which answers //app/key with a redirect before
// any handler sees it. pusher-js asks for such paths where its wsPath or httpPath
// is "/" or ends with a slash, and no WebSocket client follows redirects. Routers
// that leave paths alone, as chi, gin and echo do, need it not: Handler itself
// takes doubled slashes.
func MergeSlashes(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, raw := mergeSlashes(r.URL.Path), mergeSlashes(r.URL.RawPath)
		if path != r.URL.Path || raw != r.URL.RawPath {
			merged := *r
			merged.URL = new(url.URL)
			*merged.URL = *r.URL
			merged.URL.Path, merged.URL.RawPath = path, raw
			r = &merged
		}
		next.ServeHTTP(w, r)
	})
}

func mergeSlashes(path string) string {
	if !strings.Contains(path, "//") {
		return path
	}
	head, tail := path, ""
	if i := strings.Index(path, "/apps/"); i >= 0 {
		head, tail = path[:i+1], path[i+1:]
	}
	merged := make([]byte, 0, len(path))
	for i := range len(head) {
		if head[i] != '/' || i == 0 || head[i-1] != '/' {
			merged = append(merged, head[i])
		}
	}
	return string(append(merged, tail...))
}
