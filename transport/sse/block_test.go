package sse

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestNamedBlocks(t *testing.T) {
	id := ID{Channel: "room", Epoch: "E", Offset: 7}
	for _, test := range []struct {
		id         ID
		name, data string
		want       string
	}{
		{ID{}, "message", "x", "event: message\ndata: x\n\n"},
		{id, "message", "a\nb\r\nc\rd", "id: room=E:7\nevent: message\ndata: a\ndata: b\ndata: c\ndata: d\n\n"},
		{id, "message", "", "id: room=E:7\nevent: message\ndata:\n\n"},
		{ID{}, "a\r\ndata: forged\n", "x", "event: a  data: forged \ndata: x\n\n"},
	} {
		assert.Equal(t, test.want, string(Named(test.id, test.name, []byte(test.data))))
	}
}

func TestIDsAreFormattedAsTheyAreParsed(t *testing.T) {
	ids := []ID{{Channel: "a&b=c", Epoch: "E:~", Offset: 1<<64 - 1}, {Channel: "#room, ü", Epoch: "F"}}
	assert.Equal(t, ids, ParseID(FormatID(ids...)))
}
