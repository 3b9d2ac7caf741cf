package xhr

import (
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
	text, err := json.Marshal(string(payload))
	if err != nil {
		// A string always marshals.
		panic(err)
	}
	chunk := make([]byte, 0, len(text)+4)
	chunk = append(chunk, "a["...)
	chunk = append(chunk, text...)
	return append(chunk, "]\n"...)
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
