package websocket

import (
	"bytes"
	"compress/flate"
	"io"
	"strings"
)

// inflater undoes what a peer has compressed. It costs some 40 KiB, and is shared
// by all connections.
type inflater struct {
	in compressedMessage
	r  io.ReadCloser
}

// compressedMessage is a message with what ends it for flate.
type compressedMessage struct {
	payload bytes.Reader
	tail    strings.Reader
}

// finalTail is what RFC 7692, section 7.2.2, adds to a message, and an empty final
// block. Only a message that was not cut leads to the end of it.
const finalTail = syncTail + "\x01\x00\x00\xff\xff"

// Read implements io.Reader.
func (m *compressedMessage) Read(p []byte) (int, error) {
	if m.payload.Len() > 0 {
		return m.payload.Read(p)
	}
	return m.tail.Read(p)
}

// ReadByte implements io.ByteReader, without which flate would put a buffer of its
// own in between.
func (m *compressedMessage) ReadByte() (byte, error) {
	if m.payload.Len() > 0 {
		return m.payload.ReadByte()
	}
	return m.tail.ReadByte()
}

func newInflater() *inflater {
	f := new(inflater)
	f.r = flate.NewReader(&f.in)
	return f
}

// inflate appends to dst the message that was compressed to src, if it has at most
// limit bytes.
func (f *inflater) inflate(dst, src []byte, limit int) ([]byte, error) {
	f.in.payload.Reset(src)
	f.in.tail.Reset(finalTail)
	// It is nil by the package's documentation.
	_ = f.r.(flate.Resetter).Reset(&f.in, nil)
	dst, err := readAll(io.LimitReader(f.r, int64(limit)+1), dst)
	switch {
	case len(dst) > limit:
		return dst, tooLarge(limit)
	case err != nil:
		return dst, ErrInvalidData
	}
	return dst, nil
}
