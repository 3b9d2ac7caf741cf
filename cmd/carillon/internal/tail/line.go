package tail

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/carillon-rt/carillon/cmd/carillon/internal/client"
)

// Kinds of lines besides events. They are part of the output that programs read.
const (
	kindEvent        = "event"
	kindConnected    = "connected"
	kindDisconnected = "disconnected"
	kindSubscribed   = "subscribed"
	kindResumed      = "resumed"
	kindGap          = "gap"
	kindWarning      = "warning"
)

// line is what is printed for an event, or for what happened to the connection.
type line struct {
	Type    string    `json:"type"`
	Time    time.Time `json:"time"`
	Channel string    `json:"channel,omitempty"`
	Event   string    `json:"event,omitempty"`
	// Data is the event's data: JSON where it is an object, a list, a number, a truth value
	// or null, and a string that holds its text otherwise.
	Data     json.RawMessage `json:"data,omitempty"`
	UserID   string          `json:"user_id,omitempty"`
	Position string          `json:"position,omitempty"`
	// Missed is how many events follow that were missed.
	Missed *int   `json:"missed,omitempty"`
	Text   string `json:"text,omitempty"`
}

// printer writes lines: for people, events to out and the rest to log; as JSON, all of
// them to out.
type printer struct {
	out, log io.Writer
	json     bool
}

func (p *printer) print(l line) error {
	l.Time = time.Now()
	if p.json {
		var b bytes.Buffer
		encoder := json.NewEncoder(&b)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(l); err != nil {
			return err
		}
		_, err := p.out.Write(b.Bytes())
		return err
	}
	clock := l.Time.Format("15:04:05.000")
	if l.Type != kindEvent {
		_, err := fmt.Fprintf(p.log, "%s -- %s\n", clock, client.Printable(l.Text))
		return err
	}
	from := ""
	if l.UserID != "" {
		from = " (from " + l.UserID + ")"
	}
	_, err := fmt.Fprintf(p.out, "%s  %s  %s%s  %s\n", clock, client.Printable(l.Channel), client.Printable(l.Event),
		client.Printable(from), client.Printable(plain(l.Data)))
	return err
}

// plain is the text that dataOf has made JSON of.
func plain(data json.RawMessage) string {
	var text string
	if json.Unmarshal(data, &text) == nil {
		return text
	}
	return string(data)
}

// dataOf is the data of an event as JSON from which the text can be had again.
func dataOf(text string) json.RawMessage {
	if trimmed := strings.TrimSpace(text); trimmed == text && text != "" && text[0] != '"' && json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(text) // a string never fails
	return bytes.TrimSpace(b.Bytes())
}
