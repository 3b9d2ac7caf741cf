package media

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// photo is a JPEG whose left half is red and whose right half is blue.
func photo(t testing.TB, w, h int) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.Set(x, y, color.RGBA{uint8(255 * (1 - x*2/w)), uint8(x * y % 40), uint8(255 * (x * 2 / w)), 255})
		}
	}
	var out bytes.Buffer
	require.NoError(t, jpeg.Encode(&out, img, nil))
	return out.Bytes()
}

// withEXIF puts an orientation and a place into a JPEG.
func withEXIF(jpg []byte, orientation uint16, order binary.AppendByteOrder) []byte {
	tiff := []byte("II*\x00")
	if order == binary.AppendByteOrder(binary.BigEndian) {
		tiff = []byte("MM\x00*")
	}
	tiff = order.AppendUint32(tiff, 8)
	tiff = order.AppendUint16(tiff, 1)
	tiff = order.AppendUint16(tiff, 0x0112)
	tiff = order.AppendUint16(tiff, 3)
	tiff = order.AppendUint32(tiff, 1)
	tiff = order.AppendUint16(tiff, orientation)
	tiff = append(tiff, 0, 0, 0, 0, 0, 0)
	body := append([]byte("Exif\x00\x00"), append(tiff, "48.8584 N, 2.2945 E"...)...)
	out := []byte{0xff, 0xd8, 0xff, 0xe1}
	out = binary.BigEndian.AppendUint16(out, uint16(len(body)+2))
	return append(append(out, body...), jpg[2:]...)
}

func TestPhotographsAreUprightAndSayNothing(t *testing.T) {
	// Where the red half is to be found: the upper left corner of what was taken.
	for orientation, red := range map[uint16]image.Point{
		1: {1, 1}, 2: {38, 1}, 3: {38, 18}, 4: {1, 18}, 5: {1, 1}, 6: {18, 1}, 7: {18, 38}, 8: {1, 38},
	} {
		for _, order := range []binary.AppendByteOrder{binary.BigEndian, binary.LittleEndian} {
			f, err := Inspect(bytes.NewReader(withEXIF(photo(t, 40, 20), orientation, order)))
			require.NoError(t, err)
			assert.Equal(t, "image/jpeg", f.ContentType)
			img, err := jpeg.Decode(bytes.NewReader(f.Data))
			require.NoError(t, err)
			assert.Equal(t, image.Pt(f.Width, f.Height), img.Bounds().Size())
			if orientation >= 5 {
				assert.Equal(t, image.Pt(20, 40), img.Bounds().Size())
			}
			r, _, b, _ := img.At(red.X, red.Y).RGBA()
			assert.Greater(t, r, b, "orientation %d", orientation)
			assert.NotContains(t, string(f.Data), "Exif")
			assert.NotContains(t, string(f.Data), "48.8584")
		}
	}
}

func TestSmallCopies(t *testing.T) {
	for size, want := range map[image.Point]image.Point{
		{X: 640, Y: 640}: {}, {X: 1280, Y: 640}: {X: 640, Y: 320}, {X: 300, Y: 900}: {X: 213, Y: 640}, {X: 5000, Y: 1}: {X: 640, Y: 1},
	} {
		f, err := Inspect(bytes.NewReader(photo(t, size.X, size.Y)))
		require.NoError(t, err)
		assert.Equal(t, want, image.Pt(f.ThumbWidth, f.ThumbHeight))
		if f.Thumb != nil {
			c, _, err := image.DecodeConfig(bytes.NewReader(f.Thumb))
			require.NoError(t, err)
			assert.Equal(t, want, image.Pt(c.Width, c.Height))
		}
	}
}

func animated(t testing.TB, w, h, frames int) []byte {
	t.Helper()
	all := &gif.GIF{Config: image.Config{Width: w, Height: h}}
	for range frames {
		all.Image = append(all.Image, image.NewPaletted(image.Rect(0, 0, w, h), color.Palette{color.Black, color.White}))
		all.Delay = append(all.Delay, 10)
	}
	var out bytes.Buffer
	require.NoError(t, gif.EncodeAll(&out, all))
	return out.Bytes()
}

func TestAnimationsStay(t *testing.T) {
	data := append(animated(t, 700, 20, 3), "<script>"...)
	f, err := Inspect(bytes.NewReader(data))
	require.NoError(t, err)
	assert.Equal(t, "image/gif", f.ContentType)
	all, err := gif.DecodeAll(bytes.NewReader(f.Data))
	require.NoError(t, err)
	assert.Len(t, all.Image, 3)
	assert.NotContains(t, string(f.Data), "<script>")
	assert.Equal(t, 640, f.ThumbWidth)
}

func TestWebP(t *testing.T) {
	data, err := base64.StdEncoding.DecodeString("UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA")
	require.NoError(t, err)
	f, err := Inspect(bytes.NewReader(data))
	require.NoError(t, err)
	assert.Equal(t, "image/jpeg", f.ContentType)
	assert.Equal(t, image.Pt(1, 1), image.Pt(f.Width, f.Height))
}

func TestBombsAreNotDecoded(t *testing.T) {
	bomb := func(header []byte, at int, order binary.ByteOrder, bytesEach int) []byte {
		b := bytes.Clone(header)
		if bytesEach == 2 {
			order.PutUint16(b[at:], 65_000)
			order.PutUint16(b[at+2:], 65_000)
		} else {
			order.PutUint32(b[at:], 1<<30)
			order.PutUint32(b[at+4:], 1<<30)
		}
		return b
	}
	jpg := photo(t, 8, 8)
	frame := bytes.Index(jpg, []byte{0xff, 0xc0})
	var tooMany *TooManyPixelsError
	for name, data := range map[string][]byte{
		"JPEG":            bomb(jpg, frame+5, binary.BigEndian, 2),
		"GIF":             bomb(animated(t, 8, 8, 1), 6, binary.LittleEndian, 2),
		"GIF, many small": animated(t, 4, 4, MaxFrames+1),
	} {
		_, err := Inspect(bytes.NewReader(data))
		assert.ErrorAs(t, err, &tooMany, name)
	}
	scans := append(photo(t, 8, 8), bytes.Repeat([]byte{0xff, 0xda}, MaxScans)...)
	_, err := Inspect(bytes.NewReader(scans))
	assert.ErrorIs(t, err, ErrPicture)
	many := animated(t, 3000, 3000, 5)
	require.Less(t, len(many), 500_000)
	_, err = Inspect(bytes.NewReader(many))
	assert.ErrorAs(t, err, &tooMany)
}

func TestBrokenPictures(t *testing.T) {
	var p bytes.Buffer
	require.NoError(t, png.Encode(&p, image.NewNRGBA(image.Rect(0, 0, 9, 9))))
	for name, data := range map[string][]byte{
		"PNG": p.Bytes(), "JPEG": photo(t, 30, 30), "GIF": animated(t, 9, 9, 2), "WebP": []byte("RIFF\x10\x00\x00\x00WEBPVP8 \x00\x00\x00\x00\x00\x00\x00\x00"),
	} {
		_, err := Inspect(bytes.NewReader(data[:len(data)*2/3]))
		assert.ErrorIs(t, err, ErrPicture, name)
	}
}

func TestTextsAndOthers(t *testing.T) {
	long := bytes.Repeat([]byte("ä"), sniffed)
	for name, c := range map[string]struct {
		data    []byte
		kind    string
		preview int
	}{
		"text":           {[]byte("hello\n"), Text, 6},
		"HTML":           {[]byte("<html>"), Text, 6},
		"SVG":            {[]byte("<svg/>"), Text, 6},
		"cut character":  {append([]byte("a"), long...), Text, PreviewChars},
		"ends in middle": {[]byte("a\xc3"), Other, 0},
		"Latin-1":        {[]byte("caf\xe9"), Other, 0},
		"binary":         {[]byte("a\x00b"), Other, 0},
		"PDF":            {[]byte("%PDF-1.4\n\xff"), Other, 0},
	} {
		f, err := Inspect(bytes.NewReader(c.data))
		require.NoError(t, err)
		assert.Equal(t, c.kind, f.Kind, name)
		assert.Len(t, []rune(f.Preview), c.preview, name)
		assert.Nil(t, f.Data)
	}
}

// FuzzInspect says that whatever is uploaded, what is shown is a picture that can be
// decoded, within the bounds.
func FuzzInspect(f *testing.F) {
	var p bytes.Buffer
	require.NoError(f, png.Encode(&p, image.NewNRGBA(image.Rect(0, 0, 9, 9))))
	f.Add(p.Bytes())
	f.Add(withEXIF(photo(f, 8, 8), 6, binary.BigEndian))
	f.Add(animated(f, 9, 9, 2))
	f.Add([]byte("hello"))
	f.Fuzz(func(t *testing.T, data []byte) {
		// What is large is refused by a test of its own, and would only slow this down.
		if c, _, err := image.DecodeConfig(bytes.NewReader(data)); err == nil && c.Width*c.Height > 1<<20 {
			return
		}
		file, err := Inspect(bytes.NewReader(data))
		if err != nil {
			return
		}
		if file.Kind == Image {
			c, _, err := image.DecodeConfig(bytes.NewReader(file.Data))
			require.NoError(t, err)
			assert.Equal(t, image.Pt(file.Width, file.Height), image.Pt(c.Width, c.Height))
		}
		assert.LessOrEqual(t, len([]rune(file.Preview)), PreviewChars)
	})
}
