package xhr

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/carillon-rt/carillon/transport"
)

// The chunks of the framing, each a line: "o" opens, "a" holds messages, "h" is a
// heartbeat and "c" closes.
var (
	openChunk      = []byte("o\n")
	heartbeatChunk = []byte("h\n")
)

// chunks frames a message as a chunk of its own, which all sessions share.
var chunks = transport.NewFormat("xhr chunk", func(payload []byte) []byte {
	var chunk bytes.Buffer
	chunk.Grow(len(payload) + len(payload)/4 + 8)
	chunk.WriteString("a[")
	text := json.NewEncoder(&chunk)
	text.SetEscapeHTML(false) // what is no HTML would become up to six times as long
	if err := text.Encode(string(payload)); err != nil {
		// A string always encodes.
		panic(err)
	}
	chunk.Truncate(chunk.Len() - 1) // the encoder ends a line
	chunk.WriteString("]\n")
	return chunk.Bytes()
})

func closeChunk(code int, reason string) []byte {
	text, err := json.Marshal(reason)
	if err != nil {
		panic(err)
	}
	return fmt.Appendf(nil, "c[%d,%s]\n", code, text)
}

// length is how long a browser's script finds the text: in UTF-16 code units.
func length(text []byte) int {
	n := 0
	for i := 0; i < len(text); {
		if text[i] < utf8.RuneSelf {
			i++
			n++
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		i += size
		if n++; r > 0xFFFF {
			n++
		}
	}
	return n
}
