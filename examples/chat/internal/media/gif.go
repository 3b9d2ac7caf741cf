package media

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// countFrames walks over a GIF without decoding it, and refuses one whose frames
// have too many pixels together: a small file can hold a great many.
func countFrames(r io.Reader) error {
	in := bufio.NewReader(r)
	var head [13]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return fmt.Errorf("%w: %w", ErrPicture, err)
	}
	width, height := int(binary.LittleEndian.Uint16(head[6:])), int(binary.LittleEndian.Uint16(head[8:]))
	if width == 0 || height == 0 || width > MaxPixels/height {
		return &TooManyPixelsError{width, height, 1}
	}
	skip(in, palette(head[10]))
	pixels := width * height
	for frames := 0; ; {
		kind, err := in.ReadByte()
		if err != nil {
			return fmt.Errorf("%w: %w", ErrPicture, err)
		}
		switch kind {
		case 0x3b: // the end
			if frames == 0 {
				return fmt.Errorf("%w: no frame", ErrPicture)
			}
			return nil
		case 0x21: // an extension: its label and blocks
			skip(in, 1)
			err = skipBlocks(in)
		case 0x2c: // a frame
			var frame [9]byte
			if _, err := io.ReadFull(in, frame[:]); err != nil {
				return fmt.Errorf("%w: %w", ErrPicture, err)
			}
			frames++
			pixels += int(binary.LittleEndian.Uint16(frame[4:])) * int(binary.LittleEndian.Uint16(frame[6:]))
			if frames > MaxFrames || pixels > MaxPixels {
				return &TooManyPixelsError{width, height, frames}
			}
			skip(in, palette(frame[8])+1)
			err = skipBlocks(in)
		default:
			err = errors.New("unknown block")
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrPicture, err)
		}
	}
}

// palette is the size of the colour table that flags announce.
func palette(flags byte) int {
	if flags&0x80 == 0 {
		return 0
	}
	return 3 << (flags&7 + 1)
}

// skip passes over n bytes; that there are fewer shows with the next read.
func skip(in *bufio.Reader, n int) { _, _ = in.Discard(n) }

func skipBlocks(in *bufio.Reader) error {
	for {
		n, err := in.ReadByte()
		if err != nil || n == 0 {
			return err
		}
		if _, err := in.Discard(int(n)); err != nil {
			return err
		}
	}
}
