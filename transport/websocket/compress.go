package websocket

import (
	"bytes"
	"compress/flate"
	"sync"

	"github.com/carillon-rt/carillon/transport"
)

// syncTail is what flate ends a flushed block with, and what RFC 7692, section
// 7.2.1, leaves out.
const syncTail = "\x00\x00\xff\xff"

// deflatedFrames returns the format of connections with compression: messages of
// at least from bytes are deflated, each on its own, so that all connections can
// share the result.
func deflatedFrames(from int) *transport.Format {
	deflaters := &sync.Pool{New: func() any { return newDeflater() }}
	return transport.NewFormat("websocket deflated text frame", func(payload []byte) []byte {
		if len(payload) >= from {
			d := deflaters.Get().(*deflater)
			defer deflaters.Put(d)
			if small := d.deflate(payload); len(small) < len(payload) {
				return appendFrame(make([]byte, 0, maxHeader+len(small)), finText|compressed, small)
			}
		}
		return appendFrame(make([]byte, 0, maxHeader+len(payload)), finText, payload)
	})
}

type deflater struct {
	out bytes.Buffer
	w   *flate.Writer
}

func newDeflater() *deflater {
	d := new(deflater)
	// Only a level that does not exist is an error.
	d.w, _ = flate.NewWriter(&d.out, flate.BestSpeed)
	return d
}

// deflate returns payload deflated. The result is valid until the next call.
func (d *deflater) deflate(payload []byte) []byte {
	d.out.Reset()
	d.w.Reset(&d.out)
	// A bytes.Buffer takes everything.
	_, _ = d.w.Write(payload)
	_ = d.w.Flush()
	return bytes.TrimSuffix(d.out.Bytes(), []byte(syncTail))
}
