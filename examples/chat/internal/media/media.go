// Package media makes what people upload safe to show: it tells what a file is by
// its content, and makes pictures anew, upright, without what cameras write into
// them, and with a small copy. Nothing of a file that is shown in a page comes from
// who uploaded it but the colours of its pixels.
package media

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"

	"golang.org/x/image/draw"
	"golang.org/x/image/webp"
)

// The kinds of files.
const (
	Image = "image" // shown in the page
	Text  = "text"  // shown as text
	Other = "other" // only to be downloaded
)

const (
	// MaxPixels bounds a picture, all frames of an animation together: decoding
	// takes up to 8 bytes for each.
	MaxPixels = 40_000_000
	// MaxFrames bounds an animation.
	MaxFrames = 500
	// MaxScans bounds how often a JPEG may go over all of its pixels: usual are 10.
	MaxScans = 64
	// ThumbSide bounds the width and the height of a small copy.
	ThumbSide = 640
	// PreviewChars is how much of a text is shown.
	PreviewChars = 1000

	sniffed     = 4 << 10
	jpegQuality = 90
)

// ErrPicture says that a picture cannot be read.
var ErrPicture = errors.New("picture cannot be read")

// TooManyPixelsError refuses a picture that would take too much memory.
type TooManyPixelsError struct {
	Width, Height, Frames int
}

// Error implements error.
func (e *TooManyPixelsError) Error() string {
	return fmt.Sprintf("picture has %d × %d pixels in %d frames: the limit is %d in all", e.Width, e.Height, e.Frames, MaxPixels)
}

// File is what has become of an upload.
type File struct {
	Kind        string
	ContentType string
	// Data is a picture made anew; nil for other kinds, which are kept as they are.
	Data          []byte
	Width, Height int
	// Thumb is the small copy of a picture, of the type ThumbType; nil where the
	// picture is small itself.
	Thumb                   []byte
	ThumbType               string
	ThumbWidth, ThumbHeight int
	// Preview is the beginning of a text.
	Preview string
}

// Inspect says what a file is, and makes pictures anew. A file that claims to be a
// picture and is none that can be read is an error that wraps ErrPicture; one with
// too many pixels is a *TooManyPixelsError, before anything is decoded.
func Inspect(r io.ReadSeeker) (*File, error) {
	head := make([]byte, sniffed)
	n, err := io.ReadFull(r, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, err
	}
	whole := n < len(head)
	head = head[:n]
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	switch http.DetectContentType(head) {
	case "image/jpeg":
		if err := countScans(r); err != nil {
			return nil, err
		}
		return still(r, jpeg.DecodeConfig, jpeg.Decode, false)
	case "image/png":
		return still(r, png.DecodeConfig, png.Decode, true)
	case "image/webp":
		return still(r, webp.DecodeConfig, webp.Decode, false)
	case "image/gif":
		return animation(r)
	}
	if text, ok := textOf(head, whole); ok {
		return &File{Kind: Text, ContentType: "text/plain; charset=utf-8", Preview: text}, nil
	}
	return &File{Kind: Other, ContentType: "application/octet-stream"}, nil
}

// textOf returns the beginning of what is text, whatever language it is in.
func textOf(head []byte, whole bool) (string, bool) {
	if !whole { // the end may be in the middle of a character
		for i := 0; i < utf8.UTFMax && !utf8.Valid(head) && len(head) > 0; i++ {
			head = head[:len(head)-1]
		}
	}
	if !utf8.Valid(head) || bytes.ContainsFunc(head, func(r rune) bool { return r < ' ' && !strings.ContainsRune("\t\n\r\f", r) }) {
		return "", false
	}
	text := []rune(string(head))
	return string(text[:min(len(text), PreviewChars)]), true
}

// still makes a picture anew that does not move; an exact one loses nothing.
func still(r io.ReadSeeker, config func(io.Reader) (image.Config, error), decode func(io.Reader) (image.Image, error), exact bool) (*File, error) {
	c, err := config(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPicture, err)
	}
	if c.Width <= 0 || c.Height <= 0 || c.Width > MaxPixels/c.Height {
		return nil, &TooManyPixelsError{c.Width, c.Height, 1}
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	turn := orientation(r)
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	img, err := decode(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPicture, err)
	}
	img = upright(img, turn)
	f := &File{Kind: Image, Width: img.Bounds().Dx(), Height: img.Bounds().Dy()}
	if f.Data, f.ContentType, err = encode(img, exact); err != nil {
		return nil, err
	}
	return f, f.addThumb(img)
}

// animation makes a GIF anew.
func animation(r io.ReadSeeker) (*File, error) {
	if err := countFrames(r); err != nil {
		return nil, err
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	all, err := gif.DecodeAll(r)
	if err != nil || len(all.Image) == 0 {
		return nil, fmt.Errorf("%w: %w", ErrPicture, err)
	}
	f := &File{Kind: Image, ContentType: "image/gif", Width: all.Config.Width, Height: all.Config.Height}
	var out bytes.Buffer
	if err := gif.EncodeAll(&out, all); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPicture, err)
	}
	f.Data = out.Bytes()
	first := image.NewNRGBA(image.Rect(0, 0, f.Width, f.Height))
	draw.Draw(first, all.Image[0].Bounds(), all.Image[0], all.Image[0].Bounds().Min, draw.Src)
	return f, f.addThumb(first)
}

// addThumb makes the small copy, unless the picture is small.
func (f *File) addThumb(img image.Image) (err error) {
	w, h := f.Width, f.Height
	if max(w, h) <= ThumbSide {
		return nil
	}
	if w >= h {
		w, h = ThumbSide, max(1, h*ThumbSide/w)
	} else {
		w, h = max(1, w*ThumbSide/h), ThumbSide
	}
	small := image.NewNRGBA(image.Rect(0, 0, w, h))
	draw.BiLinear.Scale(small, small.Bounds(), img, img.Bounds(), draw.Src, nil)
	f.ThumbWidth, f.ThumbHeight = w, h
	f.Thumb, f.ThumbType, err = encode(small, false)
	return err
}

// encode writes what one cannot see through as JPEG, unless it is to be exact, and
// everything else as PNG.
func encode(img image.Image, exact bool) (data []byte, contentType string, err error) {
	var out bytes.Buffer
	if o, ok := img.(interface{ Opaque() bool }); ok && o.Opaque() && !exact {
		err = jpeg.Encode(&out, img, &jpeg.Options{Quality: jpegQuality})
		return out.Bytes(), "image/jpeg", err
	}
	err = png.Encode(&out, img)
	return out.Bytes(), "image/png", err
}
