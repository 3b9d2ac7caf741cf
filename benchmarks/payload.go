package main

import (
	"math/rand/v2"
	"strconv"
	"time"
)

const (
	// payloadBytes is the data of an event where a scenario does not say.
	payloadBytes = 100
	// mark occurs once in the data of each event, and in nothing else that any
	// peer sends: counting marks counts events, however they are packed.
	mark = '@'
	// stampDigits is how many digits the time of the publish has, in
	// nanoseconds since 1970, right after the mark.
	stampDigits = 19
	// minPayload is the least that holds a mark, a stamp and the quotes.
	minPayload = stampDigits + 3
)

// filler is what the rest of the data consists of. It does not compress to
// nothing, as real text does not either.
func filler(size int) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, max(size-minPayload, 0))
	for i := range b {
		b[i] = letters[r.IntN(len(letters))]
	}
	return string(b)
}

// payload is the data of an event, a JSON string, with the time in it.
func payload(fill string, now time.Time) []byte {
	b := make([]byte, 0, minPayload+len(fill))
	b = append(b, '"', mark)
	b = strconv.AppendInt(b, now.UnixNano(), 10)
	b = append(b, fill...)
	return append(b, '"')
}

// channelName names the i-th channel of a scenario.
func channelName(i int) string { return "bench-" + strconv.Itoa(i) }
