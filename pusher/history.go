package pusher

import (
	"encoding/json"
	"strconv"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/transport"
)

const (
	// defaultPage is how many events a page of history has where the client does not say.
	defaultPage = 50
	// maxRequestID bounds the id of a request, in bytes as it is written.
	maxRequestID = 64
)

// historyData is what a client asks for with "pusher:history".
type historyData struct {
	id   json.RawMessage // a number or a string
	page broker.PageRequest
}

// history parses the data of a request for a page. With an error comes the id, if there
// is one that can be answered.
func (f *clientMessage) history() (d historyData, err error) {
	var id, limit json.RawMessage
	var until, before string
	err = f.parseData(field{name: "id", raw: &id}, field{name: "channel", text: &d.page.Channel}, field{name: "limit", raw: &limit},
		field{name: "until", text: &until}, field{name: "before", text: &before})
	switch {
	case len(id) == 0 || len(id) > maxRequestID || id[0] != '"' && id[0] != '-' && (id[0] < '0' || id[0] > '9'):
		return historyData{}, &broker.FieldError{Field: "id", Problem: "is not a number or a string", Limit: maxRequestID, Got: len(id)}
	case err != nil:
	case len(d.page.Channel) > maxEcho:
		return historyData{}, broker.CheckChannelName(d.page.Channel)
	case d.page.Channel == "":
		err = &broker.FieldError{Field: "channel", Problem: "is missing"}
	case until != "" && before != "":
		err = &broker.FieldError{Field: "until", Problem: "is given besides before"}
	default:
		err = d.parse(until, before, limit)
	}
	d.id = id
	return d, err
}

func (d *historyData) parse(until, before string, limit json.RawMessage) (err error) {
	d.page.Limit = defaultPage
	if len(limit) > 0 && string(limit) != "null" {
		n, err := strconv.Atoi(string(limit))
		if err != nil || n < 1 {
			return &broker.FieldError{Field: "limit", Value: string(limit), Problem: "is not a positive number"}
		}
		d.page.Limit = min(n, broker.MaxPage)
	}
	d.page.Inclusive = until != ""
	text := until + before
	if text == "" {
		return nil
	}
	quoted := appendString(nil, text)
	if d.page.From = parsePosition(quoted); d.page.From.IsZero() {
		return &broker.FieldError{Field: "position", Problem: "is none of this channel's"}
	}
	return nil
}

// history answers with a page of a channel's past events, newest first, or says in its
// place why there is none. Only clients that ask are sent such a frame: others take what
// they do not know for an error.
func (c *connection) history(f clientMessage) {
	c.intake.weight = answerWeight
	d, err := f.history()
	if err != nil && d.id == nil {
		c.refuse(0, err.Error())
		return
	}
	var page broker.Page
	if err == nil {
		page, err = c.session.Page(c.session.Context(), d.page)
	}
	if err == nil {
		c.session.Send(historyMessage(d.page.Channel, d.id, &page))
		return
	}
	a := answerTo(err)
	c.answer(historyError(d.page.Channel, d.id, a.text, a.status))
}

// beginHistory starts the message that answers a request. Its data is an object, which
// pusher-js hands on as it is: what is in it need not be escaped once more.
func beginHistory(size int, channel string, id json.RawMessage) []byte {
	return append(append(begin(size, "pusher_internal:history", channel), `{"id":`...), id...)
}

func historyMessage(channel string, id json.RawMessage, page *broker.Page) *transport.Message {
	size := 0
	for i := range page.Events {
		size += len(page.Events[i].Data)*5/4 + len(page.Events[i].Name) + 160
	}
	dst := append(beginHistory(size, channel, id), `,"events":[`...)
	for i := range page.Events {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendPastEvent(dst, &page.Events[i])
	}
	dst = strconv.AppendBool(append(dst, `],"more":`...), page.More)
	return transport.NewMessage(append(dst, "}}"...))
}

// appendPastEvent appends an event as a page has it: with the data that subscribers have
// been sent, or that amendments have made of it.
func appendPastEvent(dst []byte, ev *broker.Event) []byte {
	dst = appendString(append(dst, `{"event":`...), ev.Name)
	dst = append(dst, `,"data":`...)
	if ev.Retracted {
		dst = append(dst, "null"...)
	} else {
		dst = appendPayload(dst, ev)
	}
	dst = appendString(append(dst, `,"id":`...), ev.ID)
	dst = ev.Time.UTC().AppendFormat(append(dst, `,"time":"`...), milliseconds)
	dst = append(dst, '"')
	if ev.Version > 0 {
		dst = strconv.AppendUint(append(dst, `,"version":`...), ev.Version, 10)
	}
	if ev.Retracted {
		dst = append(dst, `,"retracted":true`...)
	}
	return append(appendPosition(dst, ev.Position, broker.Position{}), '}')
}

// milliseconds is how times are written: RFC 3339 in UTC.
const milliseconds = "2006-01-02T15:04:05.000Z"

func historyError(channel string, id json.RawMessage, text string, status int) *transport.Message {
	dst := appendString(append(beginHistory(len(text), channel, id), `,"error":`...), clip(text))
	dst = strconv.AppendInt(append(dst, `,"status":`...), int64(status), 10)
	return transport.NewMessage(append(dst, "}}"...))
}
