// Package arrivals measures what arrives at the clients of a server under load: it marks
// events with the time of their publish, and finds them in what a server sends without
// decoding it, for many thousands of connections at a time.
package arrivals

import (
	"math/rand/v2"
	"strconv"
	"time"
)

const (
	// mark occurs once in the data of each event, and in nothing else that any
	// peer sends: counting marks counts events, however they are packed.
	mark = '@'
	// stampDigits is how many digits the time of the publish has, in
	// nanoseconds since 1970, right after the mark.
	stampDigits = 19
	// MinPayload is the least size of an event's data, in bytes: a mark, a stamp and quotes.
	MinPayload = stampDigits + 3
)

// Filler is what the rest of the data of size bytes consists of. It does not compress to
// nothing, as real text does not either.
func Filler(size int) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, max(size-MinPayload, 0))
	for i := range b {
		b[i] = letters[r.IntN(len(letters))]
	}
	return string(b)
}

// Payload is the data of an event, a JSON string, with the time in it: that of its
// publish, or that at which it was due.
func Payload(fill string, now time.Time) []byte {
	b := make([]byte, 0, MinPayload+len(fill))
	b = append(b, '"', mark)
	b = strconv.AppendInt(b, now.UnixNano(), 10)
	b = append(b, fill...)
	return append(b, '"')
}
