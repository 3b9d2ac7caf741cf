package arrivals

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	// OpcodeClose is the close frame's (RFC 6455, section 5.5.1).
	OpcodeClose = 8
	opcodePing  = 9
	// maxControl is the longest payload of such frames.
	maxControl = 125
	// maxDeflated bounds a deflated message, in bytes.
	maxDeflated = 16 << 20
)

// Deflated marks, in the first byte of its frame, a deflated message (RFC 7692, section 6).
const Deflated = 0x40

// DeflateTail is what the sender of a deflated message cuts off, and an empty
// last block (RFC 7692, section 7.2.2).
const DeflateTail = "\x00\x00\xff\xff\x01\x00\x00\xff\xff"

// ErrClosed says that the server sent a close frame.
var ErrClosed = errors.New("server closed the connection")

// Counter finds the events in what a server sends, without allocating and
// however it is cut into pieces. It takes unmasked frames, and events that are not spread
// over several. It is for one goroutine.
type Counter struct {
	// Late gets how late each event was; nil where nobody asks.
	Late *Histogram
	// Ping gets the payload of each ping, which is the caller's to answer and not to keep;
	// nil where nobody asks.
	Ping func(payload []byte)

	header   [10]byte
	have     int    // bytes of header that are there
	left     uint64 // bytes of the payload that are missing
	in       bool   // in a payload
	marks    int    // in the frame so far
	deflated []byte // payload of a deflated frame so far
	ping     []byte // payload of a ping so far
	inflater io.ReadCloser

	stamp  int64 // digits of the current stamp
	digits int   // digits that are missing
}

// Feed takes what was read and returns how many events it completes.
func (c *Counter) Feed(p []byte) (events int, err error) {
	for len(p) > 0 || c.in && c.left == 0 {
		if !c.in {
			if p = c.readHeader(p); !c.in {
				return events, nil
			}
			if c.header[0]&0x0f == OpcodeClose {
				return events, ErrClosed
			}
			continue
		}
		n := min(uint64(len(p)), c.left)
		switch {
		case c.header[0]&Deflated != 0:
			if uint64(len(c.deflated))+c.left > maxDeflated {
				return events, fmt.Errorf("a deflated message has more than %d bytes", maxDeflated)
			}
			c.deflated = append(c.deflated, p[:n]...)
		case c.header[0]&0x0f == opcodePing:
			if uint64(len(c.ping))+c.left > maxControl {
				return events, fmt.Errorf("a ping has more than %d bytes", maxControl)
			}
			c.ping = append(c.ping, p[:n]...)
		default:
			c.scan(p[:n])
		}
		p = p[n:]
		if c.left -= n; c.left > 0 {
			return events, nil
		}
		if c.header[0]&Deflated != 0 {
			if err := c.inflate(); err != nil {
				return events, err
			}
		}
		if c.header[0]&0x0f == opcodePing {
			if c.Ping != nil {
				c.Ping(c.ping)
			}
			c.ping = c.ping[:0]
		}
		events += c.marks
		c.in, c.have, c.marks = false, 0, 0
	}
	return events, nil
}

// readHeader takes what belongs to the frame's header and returns the rest.
func (c *Counter) readHeader(p []byte) []byte {
	for len(p) > 0 {
		want := 2
		if c.have >= 2 {
			switch c.header[1] & 0x7f {
			case 126:
				want = 4
			case 127:
				want = 10
			}
		}
		if c.have < want {
			n := copy(c.header[c.have:want], p)
			p = p[n:]
			c.have += n
		}
		if c.have < 2 || c.have < want {
			continue
		}
		switch short := c.header[1] & 0x7f; {
		case short < 126:
			c.left = uint64(short)
		case short == 126 && c.have == 4:
			c.left = uint64(binary.BigEndian.Uint16(c.header[2:]))
		case short == 127 && c.have == 10:
			c.left = binary.BigEndian.Uint64(c.header[2:])
		default:
			continue
		}
		c.in = true
		return p
	}
	return p
}

// scan looks for events in a piece of a payload.
func (c *Counter) scan(p []byte) {
	if c.Late == nil {
		c.marks += bytes.Count(p, []byte{mark})
		return
	}
	for len(p) > 0 {
		if c.digits == 0 {
			i := bytes.IndexByte(p, mark)
			if i < 0 {
				return
			}
			c.stamp, c.digits = 0, stampDigits
			p = p[i+1:]
			continue
		}
		c.stamp = c.stamp*10 + int64(p[0]-'0')
		p = p[1:]
		if c.digits--; c.digits == 0 {
			c.marks++
			c.Late.Record(time.Duration(time.Now().UnixNano() - c.stamp))
		}
	}
}

// inflate scans a message that came deflated without context takeover.
func (c *Counter) inflate() error {
	c.deflated = append(c.deflated, DeflateTail...)
	source := bytes.NewReader(c.deflated)
	if c.inflater == nil {
		c.inflater = flate.NewReader(source)
	} else if err := c.inflater.(flate.Resetter).Reset(source, nil); err != nil {
		return err
	}
	var piece [512]byte
	for {
		n, err := c.inflater.Read(piece[:])
		c.scan(piece[:n])
		if err == io.EOF {
			c.deflated = c.deflated[:0]
			return nil
		}
		if err != nil {
			return fmt.Errorf("inflate %d bytes: %w", len(c.deflated), err)
		}
	}
}
