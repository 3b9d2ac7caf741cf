package websocket

import (
	"bytes"
	"compress/flate"
	"net/http"
	"strconv"
	"strings"
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

// deflateExtension is how the extension is accepted: every message on its own.
const deflateExtension = "permessage-deflate; client_no_context_takeover; server_no_context_takeover"

// offersDeflate says whether a peer offers permessage-deflate in a way that can be
// accepted (RFC 7692, section 7.1).
func offersDeflate(h http.Header) bool {
	for _, line := range h["Sec-Websocket-Extensions"] {
		for offer := range strings.SplitSeq(line, ",") {
			name, params, with := strings.Cut(offer, ";")
			if strings.TrimSpace(name) == "permessage-deflate" && (!with || goodDeflate(params)) {
				return true
			}
		}
	}
	return false
}

// goodDeflate says whether all parameters of an offer are known, valid, given once,
// and can be met: the server's window cannot be made smaller.
func goodDeflate(params string) bool {
	seen := map[string]bool{}
	for param := range strings.SplitSeq(params, ";") {
		name, value, valued := strings.Cut(param, "=")
		name, value = strings.TrimSpace(name), unquote(strings.TrimSpace(value))
		if seen[name] {
			return false
		}
		seen[name] = true
		switch name {
		case "client_no_context_takeover", "server_no_context_takeover":
			if valued {
				return false
			}
		case "client_max_window_bits":
			if valued && !windowBits(value) {
				return false
			}
		case "server_max_window_bits":
			if value != "15" {
				return false
			}
		default:
			return false
		}
	}
	return true
}

func unquote(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

func windowBits(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n >= 8 && n <= 15 && strconv.Itoa(n) == s
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
