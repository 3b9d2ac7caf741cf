package pusher

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/internal/surrogate"
)

// clientMessage is a message from a client, of which only the outermost level has been
// parsed.
type clientMessage struct {
	event   string
	channel string
	data    json.RawMessage
}

// parseClientMessage parses a message. Its errors, and those of its methods, are
// *broker.FieldError.
func parseClientMessage(message []byte, limits Limits) (clientMessage, error) {
	if !utf8.Valid(message) {
		return clientMessage{}, &broker.FieldError{Field: "message", Problem: "is not valid UTF-8"}
	}
	var f clientMessage
	if err := parseObject(message, "message", field{name: "event", text: &f.event},
		field{name: "channel", text: &f.channel}, field{name: "data", raw: &f.data}); err != nil {
		return clientMessage{}, err
	}
	switch n := utf8.RuneCountInString(f.event); {
	case n == 0:
		return clientMessage{}, &broker.FieldError{Field: "event", Problem: "is missing"}
	case n > limits.EventNameChars:
		return clientMessage{}, &broker.FieldError{Field: "event", Problem: "is too long", Limit: limits.EventNameChars, Got: n}
	}
	return f, nil
}

// parseData parses the data, which may be an object or a string that
// holds one.
func (f *clientMessage) parseData(fields ...field) error {
	if len(f.data) > 0 && f.data[0] == '{' {
		return takeFields(f.data, fields) // it is valid, as the message is
	}
	text, _ := jsonString(f.data)
	if surrogate.Lone(f.data) {
		return halfPair("data")
	}
	return parseObject([]byte(text), "data", fields...)
}

type subscribeData struct {
	channel, auth, channelData string
	resume                     json.RawMessage // as it came: what is wrong with it is no error
}

// subscribe parses the data of a subscription. With an error comes the channel,
// if there is one, so that the client can be told on it.
func (f *clientMessage) subscribe() (d subscribeData, err error) {
	err = f.parseData(field{name: "channel", text: &d.channel}, field{name: "auth", text: &d.auth},
		field{name: "channel_data", text: &d.channelData}, field{name: "resume", raw: &d.resume})
	if err != nil {
		d = subscribeData{}
		_ = f.parseData(field{name: "channel", text: &d.channel})
	}
	return d, err
}

func (f *clientMessage) unsubscribe() (channel string, err error) {
	err = f.parseData(field{name: "channel", text: &channel})
	return channel, err
}

type signInData struct {
	auth, userData string
}

func (f *clientMessage) signIn() (d signInData, err error) {
	err = f.parseData(field{name: "auth", text: &d.auth}, field{name: "user_data", text: &d.userData})
	return d, err
}

type clientEventData struct {
	channel string
	// data is text or, with json, a JSON value.
	data []byte
	json bool
}

func (f *clientMessage) clientEvent(limits Limits) (clientEventData, error) {
	if f.event == "client-" {
		return clientEventData{}, &broker.FieldError{Field: "event", Value: f.event, Problem: "has no name after its prefix"}
	}
	if f.channel == "" {
		return clientEventData{}, &broker.FieldError{Field: "channel", Problem: "is missing"}
	}
	ev := clientEventData{channel: f.channel}
	if text, ok := jsonString(f.data); ok {
		if surrogate.Lone(f.data) {
			return clientEventData{}, halfPair("data")
		}
		ev.data = []byte(text)
	} else if ev.json = true; len(f.data) > 0 {
		ev.data = bytes.Clone(f.data) // it outlives the message
	} else {
		ev.data = []byte("null")
	}
	if len(ev.data) > limits.EventBytes {
		return clientEventData{}, &broker.FieldError{Field: "data", Problem: "is too large, in bytes", Limit: limits.EventBytes, Got: len(ev.data)}
	}
	return ev, nil
}

// parseChannelData parses the channel_data of a presence channel.
func parseChannelData(channelData string, limits Limits) (broker.Member, error) {
	var rawID, rawInfo json.RawMessage
	if err := parseObject([]byte(channelData), "channel_data", field{name: "user_id", raw: &rawID},
		field{name: "user_info", raw: &rawInfo}); err != nil {
		return broker.Member{}, err
	}
	id, err := userID(rawID)
	if err != nil {
		return broker.Member{}, err
	}
	info, err := userInfo(rawInfo, limits)
	return broker.Member{UserID: id, Info: info}, err
}

// maxSeconds is the end of the year 9999, after which no time is written.
const maxSeconds = 253402300799

// authorizationEnd returns when the authorization ends that channel_data is part of,
// and the zero time if it does not. On private channels channel_data may be anything.
func authorizationEnd(channelData string) (time.Time, error) {
	var raw json.RawMessage
	if parseObject([]byte(channelData), "channel_data", field{name: authExpires, raw: &raw}) != nil || len(raw) == 0 {
		return time.Time{}, nil
	}
	seconds, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || seconds < 0 || seconds > maxSeconds {
		return time.Time{}, &broker.FieldError{Field: "channel_data." + authExpires, Problem: "is not a time in whole seconds since 1970"}
	}
	return time.Unix(seconds, 0), nil
}

// userID accepts numbers, which many backends have for their users' IDs.
func userID(raw json.RawMessage) (string, error) {
	id, ok := jsonString(raw)
	if !ok {
		var problem string
		switch {
		case len(raw) == 0 || string(raw) == "null":
			problem = "is missing"
		case raw[0] != '-' && (raw[0] < '0' || raw[0] > '9'):
			problem = "is neither a string nor a number"
		default:
			if id, ok = numberText(raw); !ok {
				problem = "is a number out of range"
			}
		}
		if problem != "" {
			return "", &broker.FieldError{Field: "channel_data.user_id", Problem: problem}
		}
	}
	if surrogate.Lone(raw) {
		return "", halfPair("channel_data.user_id")
	}
	return id, broker.CheckUserID(id)
}

// numberText writes a JSON number as JavaScript does, for that is how a page
// looks itself up among the members: 1.0 is 1, and 1e3 is 1000. Whole numbers stay
// as they are, since JavaScript confuses those above 2^53.
func numberText(number []byte) (text string, ok bool) {
	if !bytes.ContainsAny(number, ".eE") && string(number) != "-0" {
		return string(number), true
	}
	n, err := strconv.ParseFloat(string(number), 64)
	if err != nil {
		return "", false
	}
	if n == 0 {
		return "0", true // and not -0
	}
	canonical, err := json.Marshal(n)
	return string(canonical), err == nil
}

func userInfo(raw json.RawMessage, limits Limits) ([]byte, error) {
	if len(raw) > limits.UserInfoBytes {
		return nil, &broker.FieldError{Field: "user_info", Problem: "is too large, in bytes", Limit: limits.UserInfoBytes, Got: len(raw)}
	}
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	return bytes.Clone(raw), nil // it outlives what it was part of
}

// parseUserData parses the user_data of a sign-in. The length of the watchlist
// is left to the caller: one that is too long does not prevent the sign-in.
func parseUserData(userData string, limits Limits) (broker.User, error) {
	var rawID, rawInfo, rawWatchlist json.RawMessage
	if err := parseObject([]byte(userData), "user_data", field{name: "id", raw: &rawID},
		field{name: "user_info", raw: &rawInfo}, field{name: "watchlist", raw: &rawWatchlist}); err != nil {
		return broker.User{}, err
	}
	id, ok := jsonString(rawID)
	switch {
	case !ok && len(rawID) > 0 && string(rawID) != "null":
		return broker.User{}, &broker.FieldError{Field: "user_data.id", Problem: "is not a string"}
	case surrogate.Lone(rawID):
		return broker.User{}, halfPair("user_data.id")
	case strings.TrimSpace(id) == "":
		return broker.User{}, &broker.FieldError{Field: "user_data.id", Problem: "is empty"}
	}
	if err := broker.CheckUserID(id); err != nil {
		return broker.User{}, err
	}
	watchlist, err := stringList("user_data.watchlist", rawWatchlist)
	if err != nil {
		return broker.User{}, err
	}
	info, err := userInfo(rawInfo, limits)
	return broker.User{ID: id, Info: info, Watchlist: watchlist}, err
}
