package websocket

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// First bytes of the frames that a peer sends, as far as they matter here.
const (
	opcodeBits = 0x0F
	opText     = 0x01
	opBinary   = 0x02
	opClose    = 0x08
	maskBit    = 0x80
	// reservedBits are those that are never set: not the one of compression.
	reservedBits = 0x30
)

// frameTime is how long the parts of a frame that has not ended count as signs of
// life: a peer that sends a byte now and then is silent all the same.
const frameTime = 30 * time.Second

// scan follows the frames of what a peer sends, before they are parsed and without
// a look at their payload. It refuses a message by what its header says: that it is
// binary, or longer than allowed. It says what is a sign of life, and finds the
// close frame behind what was refused. A compressed message goes on as a binary one
// without compression: the connection inflates it itself.
type scan struct {
	deflates bool // the extension was negotiated
	limit    int  // of a message

	header [14]byte
	have   uint8 // of header
	need   uint8
	first  byte  // of the frame, as it came in
	left   int64 // of the frame's payload
	size   int64 // of the message's frames so far
	// deflated says that the message at hand was compressed.
	deflated bool
	goodbye  bool  // a close frame has come in whole
	began    int64 // when the frame did, Unix time in nanoseconds
}

// read follows p, which came in at now, up to a header that is refused. It returns
// how much of p there is up to that, and whether p is a sign of life.
func (s *scan) read(p []byte, now int64) (n int, alive bool, err error) {
	for n < len(p) {
		if s.left > 0 {
			skip := min(s.left, int64(len(p)-n))
			s.left -= skip
			n += int(skip)
			if s.left == 0 {
				alive = true
				s.ends()
			}
			continue
		}
		if s.have == 0 {
			s.began, s.need = now, 2
			s.starts(&p[n])
		}
		s.header[s.have] = p[n]
		s.have++
		n++
		if s.have == 2 {
			s.need += lengthBytes(s.header[1]&^maskBit) + s.header[1]&maskBit>>5
		}
		if s.have < s.need {
			continue
		}
		s.have, s.left = 0, s.declared()
		if err := s.check(); err != nil {
			return n, alive, err
		}
		if s.left == 0 {
			alive = true
			s.ends()
		}
	}
	return n, alive || now-s.began < int64(frameTime), nil
}

// lengthBytes is how many bytes of a header hold the length that does not fit into
// seven bits.
func lengthBytes(short byte) uint8 {
	switch short {
	case 126:
		return 2
	case 127:
		return 8
	default:
		return 0
	}
}

// declared is the length of the payload by the header.
func (s *scan) declared() int64 {
	switch short := s.header[1] &^ maskBit; short {
	case 126:
		return int64(binary.BigEndian.Uint16(s.header[2:]))
	case 127:
		return int64(min(binary.BigEndian.Uint64(s.header[2:]), math.MaxInt64))
	default:
		return int64(short)
	}
}

// starts looks at the first byte of a frame, and marks what is compressed. Whether the
// byte is valid is left to the parser.
func (s *scan) starts(first *byte) {
	s.first = *first
	if opcode := s.first & opcodeBits; opcode != opText && opcode != opBinary {
		return
	}
	s.size = 0
	s.deflated = s.deflates && s.first&compressed != 0
	if s.deflated && s.first&opcodeBits == opText {
		*first = s.first&^(compressed|opText) | opBinary
	}
}

// check refuses a binary frame, and one that makes its message longer than it may
// be. A frame that breaks the protocol is left to the parser.
func (s *scan) check() error {
	opcode := s.first & opcodeBits
	if opcode > opBinary || s.first&reservedBits != 0 || s.header[1]&maskBit == 0 {
		return nil
	}
	if opcode == opBinary {
		return ErrBinary
	}
	limit := int64(s.limit)
	if s.deflated {
		limit = deflateBound(limit)
	}
	if s.left > limit-s.size {
		return tooLarge(s.limit)
	}
	s.size += s.left
	return nil
}

func tooLarge(limit int) error { return fmt.Errorf("%w of %d bytes", ErrTooLarge, limit) }

// ends notes the end of a frame.
func (s *scan) ends() {
	if s.first&opcodeBits == opClose {
		s.goodbye = true
	}
}

// deflateBound is the most that a message of size bytes is taken to be when it is
// compressed: what is random grows.
func deflateBound(size int64) int64 { return size + size/4 + 64 }
