package pusher

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/transport"
)

// positionFrames are what clients are sent on subscriptions that keep positions, and in
// answer to their requests.
func positionFrames() []*transport.Message {
	epoch := storage.Epoch{Number: 1700000000000, Random: 1<<64 - 1}
	at := func(offset uint64) broker.Position { return broker.Position{Epoch: epoch, Offset: offset} }
	older := broker.Position{Epoch: storage.Epoch{Number: 1600000000000, Random: 1}, Offset: 7}
	members := []broker.Member{{UserID: "1", Info: []byte(`{"name":"Ann"}`)}}
	event := func(position, prev broker.Position) *transport.Message {
		return positions7.Encode(broker.EventNotice{Event: &broker.Event{Name: "message", Channel: "room", Data: []byte(`{"text":"hi"}`), UserID: "1", Position: position, Prev: prev}})
	}
	page := &broker.Page{More: true, Events: []broker.Event{
		{Name: "message", Channel: "room", Data: []byte("text"), UserID: "1", ID: "ab-2", Time: time.UnixMilli(1700000000123), Position: at(9), Prev: at(7), Exclude: "1.2"},
		{Name: "client-typing", Channel: "room", Data: []byte(`{"on":true}`), JSON: true, SocketID: "1.2", ID: "ab-1", Time: time.UnixMilli(1700000000000), Position: at(7), Version: 2},
		{Name: "message", Channel: "room", JSON: true, ID: "ab-0", Time: time.UnixMilli(1600000000000), Position: at(1), Retracted: true, Version: 1},
	}}
	return []*transport.Message{
		positions7.Encode(broker.SubscribedNotice{Channel: "room", Position: at(17)}),
		positions7.Encode(broker.SubscribedNotice{Channel: "room", Position: at(0)}),
		positions7.Encode(broker.SubscribedNotice{Channel: "room"}),
		positions7.Encode(broker.SubscribedNotice{Channel: "room", Resume: broker.Resumed, Missed: 2, Position: at(1<<64 - 1)}),
		positions7.Encode(broker.SubscribedNotice{Channel: "room", Resume: broker.ResumeGap, Position: at(40)}),
		positions7.Encode(broker.SubscribedNotice{Channel: "presence-room", Members: members, Resume: broker.Resumed, Position: at(17)}),
		event(at(18), broker.Position{}),
		event(at(18), at(17)),
		event(at(20), at(17)),
		event(at(1), older),
		event(broker.Position{}, broker.Position{}),
		positions7.Encode(broker.PositionNotice{Channel: "room", Position: at(19)}),
		positions7.Encode(broker.PositionNotice{Channel: "room", Position: at(19), Prev: at(18)}),
		positions7.Encode(broker.PositionNotice{Channel: "room", Position: at(19), Prev: at(16)}),
		positions7.Encode(broker.GapNotice{Channel: "room"}),
		positions7.Encode(broker.GapNotice{Channel: "room", Position: at(30)}),
		positions7.Encode(broker.CacheMissNotice{Channel: "cache-room"}),
		positions7.Encode(broker.MemberAddedNotice{Channel: "presence-room", Member: members[0]}),
		spokenPositions7.Encode(broker.ResumeNotice{Channel: "private-room", Position: at(17)}),
		spokenPositions7.Encode(broker.ResumeNotice{Channel: "private-room", Resume: broker.Resumed, Missed: 2, Position: at(17)}),
		spokenPositions7.Encode(broker.ResumeNotice{Channel: "private-room", Resume: broker.ResumeGap, Position: at(17)}),
		spokenPositions7.Encode(broker.PositionNotice{Channel: "private-room", Position: at(19), Prev: at(16)}),
		spokenPositions7.Encode(broker.GapNotice{Channel: "private-room", Position: at(30)}),
		historyMessage("room", []byte("1"), page),
		historyMessage("room", []byte(`"a"`), &broker.Page{}),
		historyError("room", []byte("1"), `not subscribed to channel "room"`, 403),
	}
}

func TestGoldenPositions(t *testing.T) {
	const file = "testdata/positions.golden"
	var got bytes.Buffer
	for _, m := range positionFrames() {
		assert.True(t, json.Valid(m.Payload()), "%s", m.Payload())
		got.Write(m.Payload())
		got.WriteByte('\n')
	}
	if *update {
		require.NoError(t, os.WriteFile(file, got.Bytes(), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), got.String())
}

// Whatever stands where a client asks for positions or pages, it is answered, and what is
// taken from it is within bounds.
func FuzzAskForPositions(f *testing.F) {
	position := storage.Position{Epoch: storage.NewEpoch(storage.Epoch{}), Offset: 17}.String()
	for _, seed := range []string{`{"v":1}`, `{"v":1,"after":"` + position + `","sockets":["1.2","3.4"]}`, `{"v":1,"after":7,"sockets":{}}`,
		`{"v":2}`, `7`, `{"v":1,"after":"\ud800"}`, `{"id":1,"channel":"room","until":"` + position + `","limit":10}`,
		`{"id":"x","channel":"room","before":"E:1","limit":1e9}`, `{"id":{},"limit":-1}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !json.Valid([]byte(text)) {
			return
		}
		resume := []byte(strings.Trim(text, " \t\r\n"))
		var req broker.SubscribeRequest
		asks := askForPositions(&req, resume)
		assert.Equal(t, asks, req.Protocol != nil && req.Again)
		assert.LessOrEqual(t, len(req.Sockets), maxSockets)
		for _, id := range req.Sockets {
			assert.True(t, validSocketID(id))
		}
		message := clientMessage{event: "pusher:history", data: resume}
		d, err := message.history()
		if err == nil {
			assert.NotEmpty(t, d.id)
			assert.NotEmpty(t, d.page.Channel)
			assert.True(t, d.page.Limit >= 1 && d.page.Limit <= broker.MaxPage)
		}
		if d.id != nil {
			assert.True(t, json.Valid(historyError(d.page.Channel, d.id, "text", 400).Payload()))
		}
	})
}
