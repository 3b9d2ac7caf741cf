package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed web
var embedded embed.FS

// pages are the files of the page, by their path.
type pages map[string]page

type page struct {
	data        []byte
	contentType string
	etag        string
}

// contentTypes are of all that the page consists of: what a system thinks of them does not
// matter.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
	".svg": "image/svg+xml", ".png": "image/png", ".ico": "image/x-icon", ".json": "application/json",
	".webmanifest": "application/manifest+json",
}

func readPages(files fs.FS) (pages, error) {
	all := make(pages)
	err := fs.WalkDir(files, "web", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		contentType := contentTypes[path.Ext(name)]
		if contentType == "" {
			return nil
		}
		data, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(data)
		all[strings.TrimPrefix(name, "web/")] = page{data, contentType, `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	return all, nil
}

// serve serves a file of the page. They need no authorization: everybody has them.
func (p pages) serve(w http.ResponseWriter, r *http.Request) {
	if changes(r.Method) {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	name := strings.TrimPrefix(r.URL.Path, "/")
	if r.URL.Path == "" {
		// Mounted without the slash, on which the page's own addresses are built.
		w.Header().Set("Location", "./"+path.Base(requestPath(r))+"/")
		w.WriteHeader(http.StatusMovedPermanently)
		return
	}
	if name == "" {
		name = "index.html"
	}
	file, ok := p[name]
	if !ok {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	h := w.Header()
	h.Set("Content-Type", file.contentType)
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", file.etag)
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(file.data))
}

// requestPath is the path that was asked for, before any prefix was taken off.
func requestPath(r *http.Request) string {
	p, _, _ := strings.Cut(r.RequestURI, "?")
	return p
}
