package sse

import (
	"bytes"
	"errors"
	"net/url"
	"strconv"
	"strings"
)

const idField = "id: "

// ID names a position in a channel's history for the id of a block.
type ID struct {
	Channel string
	Epoch   string
	Offset  uint64
}

// Block returns a block with data, such as JSON. With an ID that has a channel the
// client remembers the position, and states it in Last-Event-ID when it comes back; see
// ParseID. Without data the block has only the position. Data of several lines arrives
// with "\n" between them, however they were ended.
func Block(id ID, data []byte) []byte {
	return append(appendData(beginBlock(id, len(data)), data), '\n')
}

// Named returns a block as Block does, which clients hand to those who listen for events of
// this name, and which arrives also without data. A line end in the name becomes a space.
// EventSource has events of its own that are called open and error: a block of such a name
// reaches who listens for those.
func Named(id ID, name string, data []byte) []byte {
	block := beginBlock(id, len(name)+len(data))
	block = append(append(append(block, "event: "...), oneLine.Replace(name)...), '\n')
	if len(data) == 0 {
		return append(block, "data:\n\n"...)
	}
	return append(appendData(block, data), '\n')
}

func beginBlock(id ID, size int) []byte {
	block := make([]byte, 0, size+len(id.Channel)+len(id.Epoch)+60)
	if id.Channel != "" {
		block = append(appendID(append(block, idField...), id), '\n')
	}
	return block
}

func appendData(block, data []byte) []byte {
	for len(data) > 0 {
		i := bytes.IndexAny(data, "\r\n")
		if i < 0 {
			i = len(data)
		}
		block = append(append(append(block, "data: "...), data[:i]...), '\n')
		rest := data[i:]
		if bytes.HasPrefix(rest, []byte("\r\n")) {
			i++
		}
		data = data[min(i+1, len(data)):]
	}
	return block
}

// oneLine takes the ends of lines out of a text.
var oneLine = strings.NewReplacer("\r", " ", "\n", " ")

// Positions returns a block that gives the client positions in several channels at
// once, as blocks with each of them would have.
func Positions(ids ...ID) []byte {
	block := []byte(idField)
	for i, id := range ids {
		if i > 0 {
			block = append(block, '&')
		}
		block = appendID(block, id)
	}
	return append(block, "\n\n"...)
}

func appendID(dst []byte, id ID) []byte {
	dst = append(append(dst, url.QueryEscape(id.Channel)...), '=')
	dst = append(append(dst, url.QueryEscape(id.Epoch)...), ':')
	return strconv.AppendUint(dst, id.Offset, 10)
}

// FormatID is the inverse of ParseID: a Last-Event-ID that states positions in several
// channels, for a page that knows where its content ends.
func FormatID(ids ...ID) string {
	block := Positions(ids...)
	return string(block[len(idField) : len(block)-2])
}

// Comment returns a block that clients ignore and people can read.
func Comment(text string) []byte {
	return []byte(": " + oneLine.Replace(text) + "\n\n")
}

// cutID takes the id from a block.
func cutID(block []byte) (id, rest []byte, ok bool) {
	after, ok := bytes.CutPrefix(block, []byte(idField))
	if !ok {
		return nil, nil, false
	}
	return bytes.Cut(after, []byte("\n"))
}

// ParseID parses a Last-Event-ID: it returns the positions of all channels of which the
// client has received a block with an ID. What is not a position is left out.
func ParseID(lastEventID string) []ID {
	var ids []ID
	for part := range strings.SplitSeq(lastEventID, "&") {
		name, position, _ := strings.Cut(part, "=")
		epoch, offset, _ := strings.Cut(position, ":")
		id := ID{}
		var err [3]error
		id.Channel, err[0] = url.QueryUnescape(name)
		id.Epoch, err[1] = url.QueryUnescape(epoch)
		id.Offset, err[2] = strconv.ParseUint(offset, 10, 64)
		if errors.Join(err[:]...) == nil && id.Channel != "" {
			ids = append(ids, id)
		}
	}
	return ids
}
