package media

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"io"
)

// countScans refuses a JPEG whose scans would keep the decoder busy for long, and
// goes back to its start.
func countScans(r io.ReadSeeker) error {
	in, scans, last := bufio.NewReader(r), 0, byte(0)
	for scans <= MaxScans {
		b, err := in.ReadByte()
		if err != nil {
			break
		}
		if last == 0xff && b == 0xda {
			scans++
		}
		last = b
	}
	if scans > MaxScans {
		return fmt.Errorf("%w: more than %d scans", ErrPicture, MaxScans)
	}
	_, err := r.Seek(0, io.SeekStart)
	return err
}

// orientation returns how a JPEG's camera was held: 1 to 8, as EXIF has it, and 1
// where it does not say.
func orientation(r io.Reader) int {
	var two [2]byte
	read := func() uint16 {
		if _, err := io.ReadFull(r, two[:]); err != nil {
			return 0
		}
		return binary.BigEndian.Uint16(two[:])
	}
	if read() != 0xffd8 {
		return 1
	}
	for {
		marker := read()
		size := int(read())
		// From the start of the scan on there are pixels.
		if marker>>8 != 0xff || marker == 0xffda || size < 2 {
			return 1
		}
		segment := make([]byte, size-2)
		if _, err := io.ReadFull(r, segment); err != nil {
			return 1
		}
		if exif, ok := bytes.CutPrefix(segment, []byte("Exif\x00\x00")); ok && marker == 0xffe1 {
			return exifOrientation(exif)
		}
	}
}

// exifOrientation looks for the orientation in the first directory of EXIF data,
// which is a TIFF file.
func exifOrientation(tiff []byte) int {
	if len(tiff) < 8 {
		return 1
	}
	var order binary.ByteOrder
	switch string(tiff[:4]) {
	case "II*\x00":
		order = binary.LittleEndian
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return 1
	}
	at := uint64(order.Uint32(tiff[4:]))
	if at+2 > uint64(len(tiff)) {
		return 1
	}
	const entry, tag, short = 12, 0x0112, 3
	count := int(order.Uint16(tiff[at:]))
	dir := tiff[at+2:]
	for ; count > 0 && len(dir) >= entry; count, dir = count-1, dir[entry:] {
		if order.Uint16(dir) == tag && order.Uint16(dir[2:]) == short {
			if v := int(order.Uint16(dir[8:])); v >= 1 && v <= 8 {
				return v
			}
			return 1
		}
	}
	return 1
}

// upright turns a picture as its orientation says.
func upright(img image.Image, orientation int) image.Image {
	if orientation == 1 {
		return img
	}
	b := img.Bounds()
	w, h := b.Dx(), b.Dy()
	size := image.Rect(0, 0, w, h)
	if orientation >= 5 { // lies on its side
		size = image.Rect(0, 0, h, w)
	}
	out := image.NewRGBA(size)
	for y := range h {
		for x := range w {
			tx, ty := x, y
			switch orientation {
			case 2:
				tx = w - 1 - x
			case 3:
				tx, ty = w-1-x, h-1-y
			case 4:
				ty = h - 1 - y
			case 5:
				tx, ty = y, x
			case 6:
				tx, ty = h-1-y, x
			case 7:
				tx, ty = h-1-y, w-1-x
			case 8:
				tx, ty = y, w-1-x
			}
			out.Set(tx, ty, img.At(b.Min.X+x, b.Min.Y+y))
		}
	}
	return out
}
