package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/carillon-rt/carillon/examples/chat/internal/media"
)

// file is something that was uploaded.
type file struct {
	ID          int64  `json:"id"`
	Name        string `json:"name"`
	Size        int64  `json:"size"`
	ContentType string `json:"content_type"`
	// Kind is image, text or other.
	Kind        string `json:"kind"`
	URL         string `json:"url"`
	ThumbURL    string `json:"thumb_url"`
	Width       int    `json:"width"`
	Height      int    `json:"height"`
	ThumbWidth  int    `json:"thumb_width"`
	ThumbHeight int    `json:"thumb_height"`
	Preview     string `json:"preview"`
}

func (f file) withURLs() *file {
	f.URL = fmt.Sprintf("/files/%d/%s", f.ID, url.PathEscape(f.Name))
	if f.ThumbWidth > 0 {
		f.ThumbURL = fmt.Sprintf("/files/%d/thumb", f.ID)
	}
	return &f
}

// messageType is the type of a message with the file.
func (f *file) messageType() string {
	if f.Kind == media.Image {
		return "image"
	}
	return "file"
}

const (
	// maxFileName is in characters.
	maxFileName = 120
	// unsentAge is how long an upload waits for its message.
	unsentAge     = 24 * time.Hour
	uploadTimeout = 10 * time.Minute
	// pictures is how many may be decoded at a time: each takes up to 300 MB.
	pictures = 2
)

// fileStore is the folder of what was uploaded: each file by its ID, its small copy
// beside it. Names that people gave are in the database only, so that no name can
// lead anywhere.
type fileStore struct {
	root *os.Root
	// decoding has a place for each picture that may be decoded now.
	decoding chan struct{}
}

func openFiles(data string) (fileStore, error) {
	dir := filepath.Join(data, "files")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fileStore{}, err
	}
	root, err := os.OpenRoot(dir)
	return fileStore{root: root, decoding: make(chan struct{}, pictures)}, err
}

func fileName(id int64) string  { return strconv.FormatInt(id, 10) }
func thumbName(id int64) string { return fileName(id) + ".thumb" }

// remove takes a file away, as far as it is there.
func (s fileStore) remove(id int64) {
	for _, name := range []string{fileName(id), thumbName(id)} {
		if err := s.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			slog.Warn("file was not removed", "file", name, "error", err)
		}
	}
}

// sweep removes what no row of the database knows, such as uploads in the middle of which
// the program was killed: those have not grown for longer than an upload may take. No file
// may be kept meanwhile.
func (s fileStore) sweep(known map[int64]bool) error {
	entries, err := fs.ReadDir(s.root.FS(), ".")
	for _, e := range entries {
		id, notID := strconv.ParseInt(strings.TrimSuffix(e.Name(), ".thumb"), 10, 64)
		left := notID == nil && !known[id]
		if strings.HasPrefix(e.Name(), "upload-") {
			info, gone := e.Info()
			left = gone == nil && time.Since(info.ModTime()) > uploadTimeout
		}
		if !left {
			continue
		}
		if gone := s.root.Remove(e.Name()); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	return err
}

// receive stores a request's body in a file without a name that lasts.
func (s fileStore) receive(w http.ResponseWriter, r *http.Request, limit int64) (f *os.File, size int64, err error) {
	if r.ContentLength > limit {
		return nil, 0, &http.MaxBytesError{Limit: limit}
	}
	if f, err = os.CreateTemp(s.root.Name(), "upload-*"); err != nil {
		return nil, 0, err
	}
	if size, err = io.Copy(f, http.MaxBytesReader(w, r.Body, limit)); err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		s.drop(f)
		err = cutOff(err)
	}
	return f, size, err
}

// cutOff tells what the disk could not do from what the sender broke off.
func cutOff(err error) error {
	var disk *fs.PathError
	var large *http.MaxBytesError
	if errors.As(err, &disk) || errors.As(err, &large) {
		return err
	}
	return refuse(http.StatusBadRequest, "cut_off", "The file did not arrive whole. Please attach it again.")
}

// drop closes a file that was received and takes it away.
func (s fileStore) drop(f *os.File) {
	_ = f.Close()
	_ = os.Remove(f.Name())
}

// inspect looks at what was received, a few pictures at a time.
func (s fileStore) inspect(ctx context.Context, f *os.File) (*media.File, error) {
	select {
	case s.decoding <- struct{}{}:
		defer func() { <-s.decoding }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	found, err := media.Inspect(f)
	var pixels *media.TooManyPixelsError
	switch {
	case errors.As(err, &pixels):
		return nil, refuse(http.StatusUnsupportedMediaType, "unsupported",
			"That picture is too large to show: %d × %d pixels, and %d million fit.", pixels.Width, pixels.Height, media.MaxPixels/1_000_000)
	case errors.Is(err, media.ErrPicture):
		return nil, refuse(http.StatusUnsupportedMediaType, "unsupported", "That picture cannot be read. It may be damaged, or of a kind that is not known here.")
	}
	return found, err
}

// keep stores what has become of an upload under its ID.
func (s fileStore) keep(id int64, f *os.File, found *media.File) error {
	if found.Kind != media.Image {
		return os.Rename(f.Name(), filepath.Join(s.root.Name(), fileName(id)))
	}
	if err := s.root.WriteFile(fileName(id), found.Data, 0o600); err != nil {
		return err
	}
	if found.Thumb == nil {
		return nil
	}
	return s.root.WriteFile(thumbName(id), found.Thumb, 0o600)
}

// uploadName is the name that a file gets: the last part of what its sender called
// it, without what cannot be shown, and with the ending of what it is.
func uploadName(header string, found *media.File) string {
	name, err := url.PathUnescape(header)
	if err != nil {
		name = header
	}
	name = name[strings.LastIndexAny(name, `/\`)+1:]
	name = strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) && !joiner(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(name, "")))
	name = strings.TrimLeft(name, ".")
	if name == "" {
		name = "file"
	}
	ext := filepath.Ext(name)
	stem := []rune(strings.TrimSuffix(name, ext))
	if found.Kind == media.Image {
		was := mime.TypeByExtension(strings.ToLower(ext))
		if ext = "." + strings.TrimPrefix(found.ContentType, "image/"); ext == ".jpeg" {
			ext = ".jpg"
		}
		if was == found.ContentType {
			ext = filepath.Ext(name)
		}
	}
	if utf8.RuneCountInString(ext) > 16 {
		ext = string([]rune(ext)[:16])
	}
	return string(stem[:min(len(stem), maxFileName-utf8.RuneCountInString(ext))]) + ext
}
