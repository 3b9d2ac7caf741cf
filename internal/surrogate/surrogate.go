// Package surrogate finds text in JSON that no Go string can hold. A JSON string may
// escape one half of a surrogate pair, which is no character and has no UTF-8;
// encoding/json puts U+FFFD in its place, so that two names, IDs or messages become
// one.
package surrogate

import "bytes"

// Lone reports whether a string in the JSON text, which must be valid, holds an
// escaped half of a surrogate pair without the other half.
func Lone(json []byte) bool {
	for {
		i := bytes.IndexByte(json, '\\')
		if i < 0 || i+1 == len(json) {
			return false
		}
		if json = json[i:]; json[1] != 'u' {
			json = json[2:]
			continue
		}
		switch half(json) {
		case none:
			json = json[2:]
		case high:
			if json = json[6:]; half(json) != low {
				return true
			}
			json = json[6:]
		case low:
			return true
		}
	}
}

const (
	none = iota
	high // comes first
	low
)

// half says which half of a pair an escape at the beginning of the text is.
func half(json []byte) int {
	if len(json) < 6 || json[0] != '\\' || json[1] != 'u' || json[2]|0x20 != 'd' {
		return none
	}
	switch json[3] {
	case '8', '9', 'a', 'b', 'A', 'B':
		return high
	case 'c', 'd', 'e', 'f', 'C', 'D', 'E', 'F':
		return low
	}
	return none
}
