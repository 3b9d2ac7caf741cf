// Package publish is the command carillon publish: it sends events as backends do.
package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/carillon-rt/carillon/cmd/carillon/internal/client"
)

const (
	// maxInput bounds the data of one event that is read, in bytes: no server takes more.
	maxInput = 2 << 20
	// maxChannels is how many channels a request may name.
	maxChannels = 100
)

// Run is the command. It returns what kept an event from being published.
func Run(ctx context.Context, args []string, env client.Environment) error {
	set := env.FlagSet("publish", "CHANNEL…", "Publishes one event to channels, or with -batch many, and prints what the server answers. "+
		"Events on encrypted channels are sealed here.")
	var flags client.Flags
	flags.Register(set)
	event := set.String("event", "", "`name` of the event")
	data := set.String("data", "", "the event's data, `JSON`, or - for standard input")
	raw := set.Bool("raw", false, "send the data as it is, which need not be JSON")
	exclude := set.String("exclude", "", "`socket ID` of the connection that does not get the event")
	info := set.String("info", "", "what to ask of the channels: user_count, subscription_count, or both with a comma")
	batch := set.String("batch", "", "publish the events in a `file`, or - for standard input: a JSON object a line with channel, event, data and socket_id, as tail -json prints them")
	channels, err := set.Arguments(args)
	if err != nil {
		return err
	}
	app, err := flags.App(env.Getenv, env.Stored)
	if err == nil {
		err = app.Require("id", "key", "secret")
	}
	if err != nil {
		return client.Usage(err)
	}
	api := client.NewAPI(&app, 1)
	defer api.Close()
	if *batch != "" {
		if len(channels) > 0 || *event+*data+*exclude != "" || *raw {
			return client.Usage(errors.New("-batch takes channels, events, data and exclusions from its lines"))
		}
		return publishLines(ctx, &app, api, *batch, *info, env)
	}
	e := client.Event{Name: *event, SocketID: *exclude, Info: *info}
	if e.Data, err = dataOf(*data, *raw, env.Stdin); err != nil {
		return err
	}
	switch {
	case len(channels) == 0:
		return client.Usage(errors.New("name the channels to publish to"))
	case len(channels) > maxChannels:
		return client.Usage(fmt.Errorf("%d channels are more than %d", len(channels), maxChannels))
	case *event == "":
		return client.Usage(errors.New("give the event a name with -event"))
	case len(channels) == 1:
		e.Channel = channels[0]
	case slices.ContainsFunc(channels, client.IsEncrypted):
		return client.Usage(errors.New("an encrypted channel has a key of its own: publish to it alone"))
	default:
		e.Channels = channels
	}
	if err := seal(&app, &e); err != nil {
		return client.Usage(err)
	}
	answer, err := api.Publish(ctx, e)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(env.Stdout, "%s\n", client.Printable(string(answer)))
	return err
}

// dataOf is the data that a flag names.
func dataOf(flag string, raw bool, stdin io.Reader) (string, error) {
	if flag == "" {
		return "", client.Usage(errors.New("give the event data with -data, JSON or - for standard input"))
	}
	text := flag
	if flag == "-" {
		read, err := io.ReadAll(io.LimitReader(stdin, maxInput+1))
		if err != nil {
			return "", fmt.Errorf("read standard input: %w", err)
		}
		if len(read) > maxInput {
			return "", fmt.Errorf("standard input has more than %d bytes", maxInput)
		}
		text = string(read)
	}
	if !raw && !json.Valid([]byte(text)) {
		return "", client.Usage(fmt.Errorf("the data is not JSON: a text is written '\"hello\"', and -raw sends what is none: %s",
			client.Printable(text[:min(len(text), 80)])))
	}
	return text, nil
}

// seal encrypts the data of an event for an encrypted channel.
func seal(app *client.App, e *client.Event) (err error) {
	if !client.IsEncrypted(e.Channel) {
		return nil
	}
	if err := app.RequireMasterKey(e.Channel); err != nil {
		return err
	}
	e.Data, err = client.Seal(e.Channel, app.MasterKey, e.Data)
	return err
}
