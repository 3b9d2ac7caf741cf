// Package config reads what the server is told: a TOML file, environment variables and
// flags, the latter going before the former, and checks all of it before anything runs.
// It says of every mistake where it is. It opens no store and no socket.
//
//	c, err := config.Read(os.Args[1:], os.Getenv, os.Stdout)
//	c, err = config.Load("carillon.toml", os.Getenv) // the file alone
package config

import (
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/pusher"
	"github.com/carillon-rt/carillon/ratelimit"
	"github.com/carillon-rt/carillon/transport/websocket"
)

// Config is a configuration without a mistake.
type Config struct {
	// Settings are what was written, with the defaults.
	Settings
	// File is where it was read from; empty if from no file.
	File string
	// PusherApps, ChannelRules, Rates and Proxies are what Settings stand for.
	PusherApps   []pusher.App
	ChannelRules []broker.ChannelRule
	Rates        []ratelimit.Rule
	Proxies      []netip.Prefix
	// TrustUnix says that proxies over Unix sockets are believed.
	TrustUnix bool
	// Mode are the permissions of Unix sockets.
	Mode fs.FileMode
	// NamesNoApp says that neither the file nor the environment has an app, so that there
	// is one that everybody knows.
	NamesNoApp bool
	// Warnings are what is no mistake, but may not be meant.
	Warnings []Problem

	// origins are where the fields of Settings were written.
	origins map[any]origin
	// readBytes is how large a message may be in a server that runs; 0 if it is worked out.
	readBytes int
}

// IsSet reports whether the field of Settings that v points to was written by
// somebody.
func (c *Config) IsSet(v any) bool { _, ok := c.origins[v]; return ok }

// Read reads flags, the environment and the file that either names. It writes the help
// to output if that is asked for, and returns flag.ErrHelp. What is wrong with the
// settings is a Mistakes.
func Read(args []string, env func(string) string, output io.Writer) (*Config, error) {
	line, err := parseFlags(args, output)
	if err != nil {
		return nil, err
	}
	if env, err = withFile(env, line.envFile); err != nil {
		return nil, err
	}
	if line.file == "" {
		line.file = env("CARILLON_CONFIG")
	}
	return read(line.file, line, env)
}

// Glance reads the environment and the file that it names, and passes over what is wrong
// with them: a server that runs may be asked for its health while somebody edits its file.
// Only Settings and File are there. What fails is to open the file.
func Glance(env func(string) string) (*Config, error) {
	line, err := parseFlags(nil, io.Discard)
	if err != nil {
		return nil, err
	}
	c, _, _, err := gather(env("CARILLON_CONFIG"), line, env)
	return c, err
}

// Load reads a file alone, as carillon check does: neither flags nor the variables that
// stand for them, but those that the file refers to.
func Load(file string, env func(string) string) (*Config, error) {
	return read(file, nil, env)
}

func read(file string, line *commandLine, env func(string) string) (*Config, error) {
	c, n, broken, err := gather(file, line, env)
	if err != nil {
		return nil, err
	}
	return c.finish(n, broken)
}

// gather reads all that there is, and checks none of it.
func gather(file string, line *commandLine, env func(string) string) (c *Config, n *notes, broken bool, err error) {
	c = &Config{Settings: Default(), File: file}
	n = &notes{origins: make(map[any]origin)}
	doc := &document{}
	if file != "" {
		text, err := readFile(file)
		if err != nil {
			return nil, nil, false, err
		}
		doc = c.decode(text, n, env)
		n.warnOfReaders(c)
	}
	if line != nil {
		c.overrideBy(line, n, env)
	}
	return c, n, doc.broken, nil
}

func (c *Config) finish(n *notes, broken bool) (*Config, error) {
	check := &checker{notes: n, c: c, broken: broken}
	check.all()
	if len(n.mistakes) > 0 {
		return nil, Mistakes(inOrder(n.mistakes))
	}
	c.Warnings, c.origins = inOrder(n.warnings), n.origins
	return c, nil
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, MaxFileBytes+1))
}

// warnOfReaders warns of a file with secrets that everybody on the machine can read.
func (n *notes) warnOfReaders(c *Config) {
	info, err := os.Stat(c.File)
	if err == nil && info.Mode().Perm()&0o004 != 0 && len(c.Apps) > 0 {
		n.warnings = append(n.warnings, Problem{Text: fmt.Sprintf("everybody on this machine can read the secrets in it (mode %#o): chmod o-r %s", info.Mode().Perm(), c.File)})
	}
}

// ReadBytes is how large a message from a client may be: as much as the largest event of
// any app needs, where nobody says otherwise.
func (c *Config) ReadBytes() int {
	if c.readBytes > 0 {
		return c.readBytes
	}
	if c.Limits.MessageBytes > 0 {
		return c.Limits.MessageBytes
	}
	most := websocket.DefaultReadLimit
	for i := range c.PusherApps {
		most = max(most, room(c.PusherApps[i].Limits.EventBytes))
	}
	return most
}

// room is how much an event of so many bytes may take: in JSON within JSON up to twice
// its size.
func room(eventBytes int) int { return 2*eventBytes + 16<<10 }
