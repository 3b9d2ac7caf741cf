package websocket

import (
	"encoding/binary"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/carillon-rt/carillon/transport"
)

// First bytes of the frames that a server sends: the final bit and the opcode
// (RFC 6455, section 5.2).
const (
	finText  = 0x81
	finClose = 0x88
	finPing  = 0x89
	finPong  = 0x8A
	// compressed is the bit of a message deflated as RFC 7692 says.
	compressed = 0x40
)

// pingFrame asks for a pong. Whose it is does not matter: it has no payload.
var pingFrame = []byte{finPing, 0}

const (
	maxHeader = 10
	// maxControl is how many bytes of payload a control frame may have, and
	// maxReason how many of them a close frame's reason.
	maxControl = 125
	maxReason  = maxControl - 2
)

// textFrames is the format of every connection without compression: the whole
// message in one unmasked text frame.
var textFrames = transport.NewFormat("websocket text frame", func(payload []byte) []byte {
	return appendFrame(make([]byte, 0, maxHeader+len(payload)), finText, payload)
})

// appendFrame appends an unmasked frame to dst.
func appendFrame(dst []byte, first byte, payload []byte) []byte {
	n := len(payload)
	switch {
	case n <= maxControl:
		dst = append(dst, first, byte(n))
	case n <= math.MaxUint16:
		dst = binary.BigEndian.AppendUint16(append(dst, first, 126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, first, 127), uint64(n))
	}
	return append(dst, payload...)
}

// isMessage says whether a frame of ours is a message, not a control frame.
func isMessage(frame []byte) bool { return frame[0]&0x08 == 0 }

// closeFrame returns a close frame. A code that must not be sent is left out,
// and the reason with it; a reason that is too long is cut between two runes.
func closeFrame(code int, reason string) []byte {
	if !sendable(code) {
		return []byte{finClose, 0}
	}
	payload := make([]byte, 2, maxControl)
	binary.BigEndian.PutUint16(payload, uint16(code))
	return appendFrame(nil, finClose, append(payload, truncate(reason)...))
}

// sendable says whether a close frame may carry the code (RFC 6455, section 7.4,
// and the registry that it starts).
func sendable(code int) bool {
	return code >= 1000 && code <= 1003 || code >= 1007 && code <= 1014 || code >= 3000 && code <= 4999
}

// truncate makes reason valid UTF-8 of at most maxReason bytes.
func truncate(reason string) string {
	reason = strings.ToValidUTF8(reason, "\uFFFD")
	if len(reason) <= maxReason {
		return reason
	}
	n := maxReason
	for !utf8.RuneStart(reason[n]) {
		n--
	}
	return reason[:n]
}
