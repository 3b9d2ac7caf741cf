package webroot

import (
	"io/fs"
	"net/http/httptest"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestHandler(t *testing.T) {
	h := Handler(fstest.MapFS{
		"index.html": {Data: []byte("page")}, "index.html.br": {Data: []byte("page br")}, "index.html.gz": {Data: []byte("page gz")},
		"assets/a-1.js": {Data: []byte("script")}, "assets/a-1.js.gz": {Data: []byte("script gz")}, "sw.js": {Data: []byte("worker")},
		".env": {Data: []byte("secret")}, "assets/.git/x.js": {Data: []byte("secret")}, "icon.svg": {Data: []byte("<svg/>")}, "dir.x": {Mode: fs.ModeDir},
	})
	const forever, again = "public, max-age=31536000, immutable", "no-cache"
	for name, c := range map[string]struct {
		method, path, accept          string
		status                        int
		body, encoding, kind, caching string
	}{
		"page":              {"GET", "/", "", 200, "page", "", "text/html; charset=utf-8", again},
		"a room":            {"GET", "/room/7/message/3", "", 200, "page", "", "text/html; charset=utf-8", again},
		"brotli first":      {"GET", "/", "gzip, deflate, br", 200, "page br", "br", "text/html; charset=utf-8", again},
		"gzip":              {"GET", "/", "gzip", 200, "page gz", "gzip", "text/html; charset=utf-8", again},
		"no brotli":         {"GET", "/", "br;q=0, gzip;q=0.5", 200, "page gz", "gzip", "text/html; charset=utf-8", again},
		"none at all":       {"GET", "/", "br; q=0.000, gzip;q=0", 200, "page", "", "text/html; charset=utf-8", again},
		"asset":             {"GET", "/assets/a-1.js", "br", 200, "script", "", "text/javascript; charset=utf-8", forever},
		"asset, compressed": {"GET", "/assets/a-1.js", "br, gzip", 200, "script gz", "gzip", "text/javascript; charset=utf-8", forever},
		"worker":            {"GET", "/sw.js", "", 200, "worker", "", "text/javascript; charset=utf-8", again},
		"picture":           {"GET", "/icon.svg", "", 200, "<svg/>", "", "image/svg+xml", again},
		"head":              {"HEAD", "/sw.js", "", 200, "", "", "text/javascript; charset=utf-8", again},
		"a copy":            {"GET", "/index.html.gz", "", 404, "", "", "", ""},
		"folder":            {"GET", "/assets/", "", 404, "", "", "", ""},
		"folder, no slash":  {"GET", "/assets", "", 404, "", "", "", ""},
		"folder with a dot": {"GET", "/dir.x", "", 404, "", "", "", ""},
		"hidden":            {"GET", "/.env", "", 404, "", "", "", ""},
		"hidden below":      {"GET", "/assets/.git/x.js", "", 404, "", "", "", ""},
		"up":                {"GET", "/assets/../../x.js", "", 404, "", "", "", ""},
		"not there":         {"GET", "/assets/b.js", "", 404, "", "", "", ""},
		"post":              {"POST", "/", "", 405, "", "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(c.method, c.path, nil)
			r.Header.Set("Accept-Encoding", c.accept)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			assert.Equal(t, c.status, w.Code)
			if c.status != 200 {
				return
			}
			assert.Equal(t, c.body, w.Body.String())
			assert.Equal(t, c.encoding, w.Header().Get("Content-Encoding"))
			assert.Equal(t, c.kind, w.Header().Get("Content-Type"))
			assert.Equal(t, c.caching, w.Header().Get("Cache-Control"))
			assert.Equal(t, "Accept-Encoding", w.Header().Get("Vary"))
		})
	}
}
