// Package webroot serves a built page: its files as they are, compressed where there is
// a compressed copy beside them, and the page itself at each of its addresses.
package webroot

import (
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
)

// encodings are those that a build may have made, the smallest first.
var encodings = []struct{ name, ext string }{{"br", ".br"}, {"gzip", ".gz"}}

// Handler serves the files of a build. What is below assets/ never changes, as its
// names have the digests of what is in them; the rest is asked for again each time.
// Addresses without a dot in their last part are the page's own, and get index.html.
func Handler(files fs.FS) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
			return
		}
		name := strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/")
		if last := name[strings.LastIndex(name, "/")+1:]; !strings.Contains(last, ".") {
			if strings.HasPrefix(name+"/", "assets/") {
				http.NotFound(w, r) // folders have no lists
				return
			}
			name = "index.html"
		}
		serve(w, r, files, name)
	})
}

func serve(w http.ResponseWriter, r *http.Request, files fs.FS, name string) {
	info, err := fs.Stat(files, name)
	if err != nil || !info.Mode().IsRegular() || hidden(name) {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	if strings.HasPrefix(name, "assets/") {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	h.Set("Content-Type", contentType(name))
	h.Set("Vary", "Accept-Encoding")
	for _, enc := range encodings {
		if _, err := fs.Stat(files, name+enc.ext); err == nil && accepts(r.Header.Values("Accept-Encoding"), enc.name) {
			h.Set("Content-Encoding", enc.name)
			name += enc.ext
			break
		}
	}
	http.ServeFileFS(w, r, files, name)
}

// hidden says whether a file is none of the page's: one that begins with a dot, or
// one that is compressed.
func hidden(name string) bool {
	for part := range strings.SplitSeq(name, "/") {
		if strings.HasPrefix(part, ".") {
			return true
		}
	}
	return path.Ext(name) == ".br" || path.Ext(name) == ".gz"
}

// types are those that a system's own table may lack.
var types = map[string]string{
	".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".html": "text/html; charset=utf-8",
	".svg": "image/svg+xml", ".webmanifest": "application/manifest+json", ".woff2": "font/woff2", ".json": "application/json",
}

func contentType(name string) string {
	if t, ok := types[path.Ext(name)]; ok {
		return t
	}
	if t := mime.TypeByExtension(path.Ext(name)); t != "" {
		return t
	}
	return "application/octet-stream"
}

// accepts says whether a client takes an encoding.
func accepts(headers []string, encoding string) bool {
	for part := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		name, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		if !strings.EqualFold(strings.TrimSpace(name), encoding) {
			continue
		}
		weight := strings.TrimRight(strings.TrimPrefix(strings.ReplaceAll(params, " ", ""), "q="), "0.")
		return params == "" || weight != ""
	}
	return false
}
