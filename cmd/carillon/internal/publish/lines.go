package publish

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/carillon-rt/carillon/cmd/carillon/internal/client"
)

// maxLine bounds a line, in bytes: data that is written as JSON in JSON, and the rest.
const maxLine = 2*maxInput + 64<<10

// batches publishes events that come line by line.
type batches struct {
	app       *client.App
	api       *client.API
	info      string
	out       io.Writer
	events    []client.Event
	published int
}

// publishLines publishes the events of a file in their order, those that are there already
// in one request, at most MaxBatch. It stops at the first line that is wrong and the first
// request that is refused, and says how many events were published before.
func publishLines(ctx context.Context, app *client.App, api *client.API, name, info string, env client.Environment) error {
	input, where := env.Stdin, "standard input"
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		input, where = f, name
	}
	b := &batches{app: app, api: api, info: info, out: env.Stdout}
	if err := b.all(ctx, input); err != nil {
		return fmt.Errorf("%s: %w (%d events were published before)", where, err, b.published)
	}
	_, err := fmt.Fprintf(env.Stdout, "published %d events\n", b.published)
	return err
}

func (b *batches) all(ctx context.Context, input io.Reader) error {
	lines := bufio.NewReaderSize(input, maxLine)
	for number := 1; ; number++ {
		text, err := lines.ReadSlice('\n')
		if text = bytes.TrimSpace(text); len(text) > 0 && (err == nil || errors.Is(err, io.EOF)) {
			if wrong := b.add(text); wrong != nil {
				return errors.Join(b.send(ctx), fmt.Errorf("line %d: %w", number, wrong))
			}
		}
		// Nobody waits for a batch to fill up.
		if err != nil || len(b.events) == client.MaxBatch || lines.Buffered() == 0 {
			if err := b.send(ctx); err != nil {
				return fmt.Errorf("up to line %d: %w", number, err)
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, bufio.ErrBufferFull):
			return fmt.Errorf("line %d is longer than %d bytes", number, maxLine)
		case err != nil:
			return err
		}
	}
}

func (b *batches) add(text []byte) error {
	e, err := parseLine(text)
	if err != nil || e == nil {
		return err
	}
	e.Info = b.info
	if err := seal(b.app, e); err != nil {
		return err
	}
	b.events = append(b.events, *e)
	return nil
}

func (b *batches) send(ctx context.Context) error {
	if len(b.events) == 0 {
		return nil
	}
	answer, err := b.api.PublishBatch(ctx, b.events)
	if err != nil {
		return err
	}
	b.published += len(b.events)
	b.events = b.events[:0]
	if b.info == "" {
		return nil
	}
	_, err = fmt.Fprintf(b.out, "%s\n", client.Printable(string(answer)))
	return err
}

// parseLine parses an event. It returns nil for what tail -json says of its connection.
func parseLine(text []byte) (*client.Event, error) {
	var l struct {
		Type     string          `json:"type"`
		Channel  string          `json:"channel"`
		Event    string          `json:"event"`
		Name     string          `json:"name"`
		Data     json.RawMessage `json:"data"`
		SocketID string          `json:"socket_id"`
	}
	if err := json.Unmarshal(text, &l); err != nil {
		return nil, fmt.Errorf("not a JSON object with channel, event and data: %w", err)
	}
	if l.Type != "" && l.Type != "event" {
		return nil, nil
	}
	if l.Event == "" {
		l.Event = l.Name // as the HTTP API calls it
	}
	switch {
	case l.Channel == "":
		return nil, errors.New("no channel")
	case l.Event == "":
		return nil, errors.New("no event")
	case l.Data == nil:
		return nil, errors.New("no data")
	}
	e := &client.Event{Name: l.Event, Channel: l.Channel, SocketID: l.SocketID}
	if json.Unmarshal(l.Data, &e.Data) == nil && l.Data[0] == '"' {
		return e, nil
	}
	// Spaces between what it consists of are not part of the data.
	var compact bytes.Buffer
	if err := json.Compact(&compact, l.Data); err != nil {
		return nil, err
	}
	e.Data = compact.String()
	return e, nil
}
