package main

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// opcodeClose is the close frame's (RFC 6455, section 5.5.1).
const opcodeClose = 8

// rsv1 marks a deflated message (RFC 7692, section 6).
const rsv1 = 0x40

// deflateTail is what the sender of a deflated message cuts off, and an empty
// last block (RFC 7692, section 7.2.2).
const deflateTail = "\x00\x00\xff\xff\x01\x00\x00\xff\xff"

// errClosed says that the server sent a close frame.
var errClosed = errors.New("server closed the connection")

// counter finds the events in what a server sends, without allocating and
// however it is cut into pieces. It takes unmasked, unfragmented frames.
type counter struct {
	header   [10]byte
	have     int    // bytes of header that are there
	left     uint64 // bytes of the payload that are missing
	in       bool   // in a payload
	marks    int    // in the frame so far
	deflated []byte // payload of a deflated frame so far
	inflater io.ReadCloser

	stamp  int64 // digits of the current stamp
	digits int   // digits that are missing
	late   *histogram
}

// feed takes what was read and returns how many events it completes.
func (c *counter) feed(p []byte) (events int, err error) {
	for len(p) > 0 || c.in && c.left == 0 {
		if !c.in {
			if p = c.readHeader(p); !c.in {
				return events, nil
			}
			if c.header[0]&0x0f == opcodeClose {
				return events, errClosed
			}
			continue
		}
		n := min(uint64(len(p)), c.left)
		if c.header[0]&rsv1 != 0 {
			c.deflated = append(c.deflated, p[:n]...)
		} else {
			c.scan(p[:n])
		}
		p = p[n:]
		if c.left -= n; c.left > 0 {
			return events, nil
		}
		if c.header[0]&rsv1 != 0 {
			if err := c.inflate(); err != nil {
				return events, err
			}
		}
		events += c.marks
		c.in, c.have, c.marks = false, 0, 0
	}
	return events, nil
}

// readHeader takes what belongs to the frame's header and returns the rest.
func (c *counter) readHeader(p []byte) []byte {
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
func (c *counter) scan(p []byte) {
	if c.late == nil {
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
			c.late.record(time.Duration(time.Now().UnixNano() - c.stamp))
		}
	}
}

// inflate scans a message that came deflated without context takeover.
func (c *counter) inflate() error {
	c.deflated = append(c.deflated, deflateTail...)
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
