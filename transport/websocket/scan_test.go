package websocket

import (
	"encoding/binary"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestRefusedAtTheHeader sends no payload: what is wrong is in the header.
func TestRefusedAtTheHeader(t *testing.T) {
	const limit = 1000
	header := func(first byte, declared uint64) []byte {
		h := binary.BigEndian.AppendUint64([]byte{first, 0xff}, declared)
		return append(h, 1, 2, 3, 4)
	}
	for _, c := range []struct {
		name    string
		deflate bool
		input   []byte
		code    int
		err     error
	}{
		{"too large", false, header(finText, limit+1), 1009, ErrTooLarge},
		{"larger than anything", false, header(finText, 1<<62), 1009, ErrTooLarge},
		{"too large in parts", false, append(masked(0x01, make([]byte, limit)), header(0x80, 1)...), 1009, ErrTooLarge},
		{"too large behind a good one", false, append(masked(finText, []byte("good")), header(finText, limit+1)...), 1009, ErrTooLarge},
		{"too large to be inflated", true, header(finText|compressed, uint64(deflateBound(limit))+1), 1009, ErrTooLarge},
		{"binary", false, header(0x82, 1), 1003, ErrBinary},
		{"binary, compressed", true, header(0x82|compressed, 1), 1003, ErrBinary},
		{"binary, empty", false, masked(0x82, nil), 1003, ErrBinary},
	} {
		for _, bytewise := range []bool{false, true} {
			t.Run(c.name, func(t *testing.T) {
				opts, extensions := []Option{WithReadLimit(limit)}, ""
				if c.deflate {
					opts, extensions = append(opts, WithCompression(1)), deflate
				}
				f := newFixture(t, opts...)
				p, e := f.raw(extensions)
				if bytewise {
					for i := range c.input {
						p.write(c.input[i : i+1])
					}
				} else {
					p.write(c.input)
				}
				code, _ := p.expectClose()
				require.Equal(t, c.code, code)
				require.NoError(t, p.Close())
				require.ErrorIs(t, (<-e.closed).err, c.err)
			})
		}
	}
}

// TestTrickle sees which parts of a frame are signs of life.
func TestTrickle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		defer shutdown(t, s)
		p, e := pipe(t, s)
		frame := masked(finText, []byte(strings.Repeat("x", 100)))
		start := time.Now()
		var last time.Time
		for i := range 80 {
			p.write(frame[i : i+1])
			synctest.Wait()
			if time.Since(start) < frameTime {
				last = time.Now()
			}
			require.Equal(t, last, e.conn.LastReceived())
			time.Sleep(time.Second)
		}
		p.write(frame[80:])
		synctest.Wait()
		require.Equal(t, time.Now(), e.conn.LastReceived(), "a frame that has ended counts")
		p.expect(finText, strings.Repeat("x", 100))
		require.NoError(t, p.Close())
		<-e.closed
	})
}

// TestScan sees that, however the bytes come in, frames are told apart.
func TestScan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := scan{limit: 1 << 20}
		var input []byte
		for range rapid.IntRange(0, 10).Draw(t, "frames") {
			first := rapid.SampledFrom([]byte{finText, finPing, finPong}).Draw(t, "first")
			size := rapid.SampledFrom([]int{0, 1, 125, 126, 300, 70000}).Draw(t, "size")
			frame := appendFrame(nil, first, make([]byte, size))
			if rapid.Bool().Draw(t, "masked") {
				frame = masked(first, make([]byte, size))
			}
			input = append(input, frame...)
		}
		input = append(input, masked(finClose, nil)...)
		for len(input) > 0 {
			require.False(t, s.goodbye)
			n := rapid.IntRange(1, len(input)).Draw(t, "read")
			read, _, err := s.read(slices.Clone(input[:n]), 0)
			require.NoError(t, err)
			require.Equal(t, n, read)
			input = input[n:]
		}
		require.True(t, s.goodbye)
		require.Zero(t, s.left+int64(s.have))
	})
}

func TestOffersOfCompression(t *testing.T) {
	for offer, want := range map[string]bool{
		"permessage-deflate":                                                          true,
		"permessage-deflate; client_max_window_bits":                                  true,
		"permessage-deflate; client_max_window_bits=8":                                true,
		`permessage-deflate;client_max_window_bits="15" ; server_no_context_takeover`: true,
		"permessage-deflate; server_max_window_bits=15; client_no_context_takeover":   true,
		"permessage-deflate; server_max_window_bits=10":                               false,
		"permessage-deflate; server_max_window_bits=10, permessage-deflate":           true,
		"permessage-bzip2, permessage-deflate":                                        true,
		"permessage-deflate; server_max_window_bits":                                  false,
		"permessage-deflate; client_max_window_bits=7":                                false,
		"permessage-deflate; client_max_window_bits=16":                               false,
		"permessage-deflate; client_max_window_bits=010":                              false,
		"permessage-deflate; client_max_window_bits=+9":                               false,
		"permessage-deflate; client_max_window_bits=abc":                              false,
		"permessage-deflate; client_max_window_bits=":                                 false,
		"permessage-deflate; client_max_window_bits; client_max_window_bits":          false,
		"permessage-deflate; client_max_window_bits=9; client_max_window_bits=10":     false,
		"permessage-deflate; client_no_context_takeover; client_no_context_takeover":  false,
		"permessage-deflate; server_no_context_takeover; server_no_context_takeover":  false,
		"permessage-deflate; server_no_context_takeover=1":                            false,
		"permessage-deflate; client_no_context_takeover=":                             false,
		"permessage-deflate; unknown":                                                 false,
		"permessage-deflate;":                                                         false,
		"permessage-deflate; ;":                                                       false,
		"x-webkit-deflate-frame":                                                      false,
		"":                                                                            false,
	} {
		require.Equal(t, want, offersDeflate(http.Header{"Sec-Websocket-Extensions": {offer}}), offer)
		f := newFixture(t, WithCompression(1))
		_, e := f.raw(offer)
		require.Equal(t, want, e.conn.(*conn).format != textFrames, offer)
	}
	require.True(t, offersDeflate(http.Header{"Sec-Websocket-Extensions": {"mux", "permessage-deflate"}}))
}

// TestCutDeflateStream cuts a compressed message at every byte.
func TestCutDeflateStream(t *testing.T) {
	whole := deflated(t, []byte(strings.Repeat("to be cut, ", 20)+"and cut again"))
	f := newFixture(t, WithCompression(1000))
	for i := 1; i < len(whole); i++ {
		p, e := f.raw(deflate)
		p.write(masked(finText|compressed, whole[:i]))
		code, _ := p.expectClose()
		require.Equal(t, 1007, code, "cut after %d of %d bytes", i, len(whole))
		require.NoError(t, p.Close())
		require.ErrorIs(t, (<-e.closed).err, ErrInvalidData)
	}
	// A stream may end with a final block (RFC 7692, section 7.2.3.5).
	p, _ := f.raw(deflate)
	p.write(masked(finText|compressed, []byte("\xf3\x48\xcd\xc9\xc9\x07\x00\x00")))
	p.expect(finText, "Hello")
}
