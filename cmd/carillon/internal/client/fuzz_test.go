package client

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
)

func FuzzFrame(f *testing.F) {
	for _, seed := range []string{
		`{"event":"e","channel":"c","data":"{}","user_id":7,"pos":"E:1","resume":{"status":"gap","missed":1}}`,
		`{"event":"pusher:error","data":{"code":4001,"message":"no"}}`, `{"event":1}`, "null", "[", `{"event":"e","data":"\ud800"}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		frame, err := parseFrame([]byte(text))
		if err == nil {
			assert.NotEmpty(t, frame.Event)
		}
		_ = ErrorCode(frame.Data)
		_ = ErrorMessage(frame.Data)
	})
}

func FuzzPrintable(f *testing.F) {
	f.Add("a\x1b[2J\u202e\xff\n")
	f.Fuzz(func(t *testing.T, text string) {
		printed := Printable(text)
		assert.True(t, utf8.ValidString(printed))
		assert.Equal(t, -1, strings.IndexFunc(printed, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }))
		assert.Equal(t, printed, Printable(printed), "what is printable stays")
	})
}

// FuzzOpen has what was sealed opened, and nothing else.
func FuzzOpen(f *testing.F) {
	key := []byte(strings.Repeat("k", 32))
	f.Add("private-encrypted-a", `{"a":1}`, `{"nonce":"AAAA","ciphertext":""}`)
	f.Fuzz(func(t *testing.T, channel, data, foreign string) {
		sealed, err := Seal(channel, key, data)
		assert.NoError(t, err)
		opened, err := Open(channel, key, sealed)
		assert.NoError(t, err)
		assert.Equal(t, data, opened)
		_, err = Open(channel, key, foreign)
		assert.ErrorIs(t, err, ErrNotOpened)
		_, err = Open(channel+"x", key, sealed)
		assert.ErrorIs(t, err, ErrNotOpened)
	})
}
