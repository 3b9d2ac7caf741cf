package tail

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/carillon-rt/carillon/cmd/carillon/internal/client"
)

// maxChannels bounds what one tail listens to.
const maxChannels = 100

// Run is the command. It returns once ctx has ended, which is no error, or when there is
// nothing more to wait for.
func Run(ctx context.Context, args []string, env client.Environment) error {
	set := env.FlagSet("tail", "CHANNEL…", "Prints the events of channels as they come, and says on standard error when it had to "+
		"connect again and whether something is missing. On a presence channel it is a member that others see. "+
		"#server-to-user-ID is what is sent to one user.")
	var flags client.Flags
	flags.Register(set)
	asJSON := set.Bool("json", false, "print a JSON object a line, what happens to the connection included")
	user := set.String("user-id", "", "`ID` that the members of presence channels see; made up unless it is given")
	info := set.String("user-info", "", "`JSON` that they see beside it")
	channels, err := set.Arguments(args)
	if err != nil {
		return err
	}
	app, err := flags.App(env.Getenv, env.Stored)
	if err != nil {
		return client.Usage(err)
	}
	t := &tail{app: &app, version: env.Version, pause: client.Pause, printer: printer{out: env.Stdout, log: env.Stderr, json: *asJSON}}
	if err := t.want(channels, *user, *info); err != nil {
		return client.Usage(err)
	}
	return t.run(ctx)
}

// want checks and notes what to listen to.
func (t *tail) want(channels []string, user, info string) error {
	if err := t.app.Require("key"); err != nil {
		return err
	}
	if len(channels) == 0 {
		return errors.New("name the channels to listen to")
	}
	if len(channels) > maxChannels {
		return fmt.Errorf("%d channels are more than %d", len(channels), maxChannels)
	}
	var shown json.RawMessage
	if info != "" {
		if !json.Valid([]byte(info)) {
			return fmt.Errorf("-user-info %q is not JSON", info)
		}
		shown = json.RawMessage(info)
	}
	slices.Sort(channels)
	for _, name := range slices.Compact(channels) {
		if client.NeedsSecret(name) {
			if err := t.app.Require("secret"); err != nil {
				return fmt.Errorf("%s is not for everybody: %w", name, err)
			}
		}
		if err := t.app.RequireMasterKey(name); err != nil {
			return err
		}
		if client.IsServerToUser(name) {
			id, err := json.Marshal(client.UserOf(name))
			if err != nil {
				return err
			}
			if is := `{"id":` + string(id) + `}`; t.user == "" || t.user == is {
				t.user = is
			} else {
				return errors.New("a connection is that of one user: two #server-to-user- channels need two tails")
			}
		}
		t.channels = append(t.channels, &channel{name: name})
	}
	if user == "" {
		user = "carillon-tail-" + client.RandomHex(4)
	}
	member, err := json.Marshal(struct {
		ID   string          `json:"user_id"`
		Info json.RawMessage `json:"user_info,omitempty"`
	}{user, shown})
	t.member = string(member)
	return err
}
