package websocket

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"io"
	"net"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/transport"
)

const deflate = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

func deflated(t *testing.T, payload []byte) []byte {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	require.NoError(t, err)
	_, err = w.Write(payload)
	require.NoError(t, err)
	require.NoError(t, w.Flush())
	return bytes.TrimSuffix(b.Bytes(), []byte(syncTail))
}

func TestBadInput(t *testing.T) {
	const cont, text, binaryFrame = 0x00, 0x01, 0x82
	code := func(c uint16) []byte { return binary.BigEndian.AppendUint16(nil, c) }
	many := func(first byte) []byte {
		return bytes.Repeat(masked(first, []byte("x")), ControlFramesPerSecond+1)
	}
	protocol := func(s Stats) int64 { return s.ProtocolErrors }
	invalid := func(s Stats) int64 { return s.InvalidData }
	oversized := func(s Stats) int64 { return s.Oversized }
	for _, c := range []struct {
		name     string
		deflate  bool
		input    []byte
		code     int
		err      error
		counting func(Stats) int64
	}{
		{"unmasked", false, appendFrame(nil, finText, []byte("hello")), 1002, ErrProtocol, protocol},
		{"reserved bit", false, masked(finText|0x20, nil), 1002, ErrProtocol, protocol},
		{"compressed without extension", false, masked(finText|compressed, nil), 1002, ErrProtocol, protocol},
		{"unknown opcode", false, masked(0x83, nil), 1002, ErrProtocol, protocol},
		{"unknown control opcode", false, masked(0x8B, nil), 1002, ErrProtocol, protocol},
		{"control in parts", false, masked(0x09, nil), 1002, ErrProtocol, protocol},
		{"long control", false, masked(finPing, make([]byte, 126)), 1002, ErrProtocol, protocol},
		{"nothing to continue", false, masked(0x80, []byte("hello")), 1002, ErrProtocol, protocol},
		{"message within a message", false, append(masked(text, []byte("hel")), masked(finText, nil)...), 1002, ErrProtocol, protocol},
		{"close of one byte", false, masked(finClose, []byte{3}), 1002, ErrProtocol, protocol},
		{"close with a reserved code", false, masked(finClose, code(1005)), 1002, ErrProtocol, protocol},
		{"close with an unknown code", false, masked(finClose, code(999)), 1002, ErrProtocol, protocol},

		{"binary", false, masked(binaryFrame, []byte("hello")), 1003, ErrBinary, func(s Stats) int64 { return s.Binary }},
		{"not UTF-8", false, masked(finText, []byte("h\xffllo")), 1007, ErrInvalidData, invalid},
		{"not UTF-8 in parts", false, append(masked(text, []byte("\xc3")), masked(0x80, []byte("x"))...), 1007, ErrInvalidData, invalid},
		{"close reason not UTF-8", false, masked(finClose, append(code(1000), 0xff)), 1007, ErrInvalidData, invalid},
		{"close with a code beyond all", false, masked(finClose, code(5000)), 1002, ErrProtocol, protocol},
		{"close with a code nobody has", false, masked(finClose, code(1016)), 1002, ErrProtocol, protocol},
		{"not UTF-8 in many parts", false, slices.Concat(masked(text, nil), bytes.Repeat(masked(cont, []byte("x")), 10000), masked(0x80, []byte("\xc3"))), 1007, ErrInvalidData, invalid},
		{"not deflated", true, masked(finText|compressed, []byte("\xff\xff\xff\xff")), 1007, ErrInvalidData, invalid},
		{"ping flood", false, many(finPing), 1008, ErrFlood, func(s Stats) int64 { return s.Floods }},
		{"pong flood", false, many(finPong), 1008, ErrFlood, func(s Stats) int64 { return s.Floods }},
		{"too large", false, masked(finText, make([]byte, DefaultReadLimit+1)), 1009, ErrTooLarge, oversized},
		{"far too large", false, masked(finText, make([]byte, 4<<20)), 1009, ErrTooLarge, oversized},
		{"too large in parts", false, append(masked(text, make([]byte, DefaultReadLimit)), masked(cont, []byte("x"))...), 1009, ErrTooLarge, oversized},
		{"too large when inflated", true, masked(finText|compressed, deflated(t, make([]byte, 8<<20))), 1009, ErrTooLarge, oversized},
	} {
		t.Run(c.name, func(t *testing.T) {
			var opts []Option
			extensions := ""
			if c.deflate {
				opts, extensions = append(opts, WithCompression(1)), deflate
			}
			f := newFixture(t, opts...)
			p, e := f.raw(extensions)
			p.write(c.input)
			code, _ := p.expectClose()
			require.Equal(t, c.code, code)
			require.NoError(t, p.Close())
			end := <-e.closed
			require.Equal(t, c.code, end.code)
			require.ErrorIs(t, end.err, c.err)
			require.EqualValues(t, 1, c.counting(f.server.Stats()))
		})
	}
}

func TestGoodInput(t *testing.T) {
	for _, opts := range [][]Option{nil, {portable}} {
		f := newFixture(t, opts...)
		p, e := f.raw("")
		exact := strings.Repeat("x", DefaultReadLimit)
		p.write(masked(finText, []byte(exact)))
		p.expect(finText, exact)
		p.write(masked(finText, nil))
		p.expect(finText, "")

		// A message in parts, cut within a rune, with a ping in between.
		parts := slices.Concat(masked(0x01, []byte("Gr\xc3")), masked(finPing, []byte("are you there")), masked(0x80, []byte("\xb6\xc3\x9fe")))
		for _, b := range parts {
			p.write([]byte{b})
		}
		p.expect(finPong, "are you there")
		p.expect(finText, "Größe")

		// Several in one segment.
		p.write(slices.Concat(masked(finText, []byte("one")), masked(finPong, nil), masked(finText, []byte("two"))))
		p.expect(finText, "one")
		p.expect(finText, "two")

		p.write(masked(finClose, nil))
		p.expect(finClose, "")
		_, err := p.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
		require.Equal(t, ending{1005, nil}, <-e.closed)
		stats := f.server.Stats()
		require.EqualValues(t, 5, stats.MessagesIn)
		require.EqualValues(t, stats.MessagesIn, stats.MessagesOut)
		require.Zero(t, stats.Dropped)
	}
}

// A connection that ends within a message has brought none, wherever it was cut.
func TestAMessageThatIsCutOffIsNone(t *testing.T) {
	whole := masked(finText, []byte(strings.Repeat("x", 3*1024)))
	parts := slices.Concat(masked(0x01, []byte("one")), masked(0x80, []byte("two")))
	for _, opts := range [][]Option{nil, {portable}} {
		for name, sent := range map[string][]byte{
			"within a header":     whole[:3],
			"before the payload":  whole[:8],
			"one byte of it":      whole[:9],
			"512 bytes of it":     whole[:8+512],
			"4 KiB in all":        masked(finText, make([]byte, 8<<10))[:4<<10],
			"all but one byte":    whole[:len(whole)-1],
			"between its frames":  parts[:9],
			"in the second frame": parts[:15],
		} {
			t.Run(name, func(t *testing.T) {
				f := newFixture(t, opts...)
				p, e := f.raw("")
				p.write(sent)
				require.NoError(t, p.Conn.(*net.TCPConn).CloseWrite())
				end := <-e.closed
				require.Equal(t, transport.StatusAbnormal, end.code)
				require.ErrorIs(t, end.err, io.EOF)
				require.Zero(t, f.server.Stats().MessagesIn)
			})
		}
	}
}

// Pongs are queued while messages are being written; neither may tear the other.
// Of the pings that come in before a pong is out, the latest is answered.
func TestPongsBetweenMessages(t *testing.T) {
	for _, opts := range [][]Option{nil, {portable}} {
		f := newFixture(t, opts...)
		p, e := f.raw("")
		const messages, pings = 20000, 64
		text := strings.Repeat("x", 300)
		go func() {
			for i := range messages {
				for e.conn.Send(transport.NewMessage([]byte(text+strconv.Itoa(i)))) != nil {
					runtime.Gosched()
				}
			}
		}()
		go func() {
			for i := range pings {
				_, _ = p.Write(masked(finPing, []byte(strconv.Itoa(i))))
				runtime.Gosched()
			}
		}()
		seen, pong := 0, -1
		r := bufio.NewReader(p)
		for seen < messages || pong < pings-1 {
			got, err := readFrame(r)
			require.NoError(t, err)
			if got.first == finText {
				require.Equal(t, text+strconv.Itoa(seen), string(got.payload))
				seen++
				continue
			}
			require.Equal(t, byte(finPong), got.first)
			n, err := strconv.Atoi(string(got.payload))
			require.NoError(t, err)
			require.Greater(t, n, pong)
			pong = n
		}
		p.write(masked(finClose, nil))
		<-e.closed
		require.EqualValues(t, messages, f.server.Stats().MessagesOut)
	}
}

func TestCompressedMessages(t *testing.T) {
	f := newFixture(t, WithCompression(100))
	p, _ := f.raw(deflate)
	plain, _ := f.raw("")
	long := strings.Repeat("to be repeated ", 1000)
	p.write(masked(finText|compressed, deflated(t, []byte(long))))
	got, err := readFrame(p)
	require.NoError(t, err)
	require.Equal(t, byte(finText|compressed), got.first)
	require.Less(t, len(got.payload), len(long)/10)
	inflated, err := io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(got.payload), strings.NewReader(syncTail+"\x01\x00\x00\xff\xff"))))
	require.NoError(t, err)
	require.Equal(t, long, string(inflated))

	p.write(masked(finText, []byte("short")))
	p.expect(finText, "short")
	plain.write(masked(finText, []byte(long)))
	plain.expect(finText, long)
}
