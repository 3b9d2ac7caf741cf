package client

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"
)

// Environment is what a command has around it.
type Environment struct {
	Getenv         func(string) string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Stored reads an app, named by ID or key or nothing, from a configuration file.
	Stored func(file, app string) (Stored, error)
	// ServerURL is where the server that the environment configures is reached.
	ServerURL func() (string, error)
	// Version is that of this program.
	Version string
}

// ErrUsage says that a command was called wrongly. It comes wrapped.
var ErrUsage = errors.New("run with -help for the flags")

// Usage marks an error as one of whoever called the command.
func Usage(err error) error { return fmt.Errorf("%w; %w", err, ErrUsage) }

// FlagSet is the flags of a command.
type FlagSet struct {
	*flag.FlagSet
	help string
	out  io.Writer
}

// FlagSet returns an empty set for a command. Its help, which text describes the command
// in, is printed to who asks for it and not to who errs.
func (e *Environment) FlagSet(name, arguments, text string) *FlagSet {
	set := flag.NewFlagSet(name, flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.Usage = func() {}
	return &FlagSet{FlagSet: set, out: e.Stdout, help: fmt.Sprintf("carillon %s [flags] %s\n\n%s\n\n", name, arguments, text)}
}

// Arguments parses flags that may stand before, between and after the other arguments,
// which it returns. After "--" there are only such. Errors are flag.ErrHelp, once the help
// is printed, or wrap ErrUsage.
func (s *FlagSet) Arguments(args []string) (others []string, err error) {
	for {
		if err := s.Parse(args); errors.Is(err, flag.ErrHelp) {
			_, writing := io.WriteString(s.out, s.help)
			s.SetOutput(s.out)
			s.PrintDefaults()
			return nil, errors.Join(err, writing)
		} else if err != nil {
			return nil, Usage(err)
		}
		rest := s.Args()
		if len(rest) == 0 {
			return others, nil
		}
		if ended := len(args) - len(rest) - 1; ended >= 0 && args[ended] == "--" {
			return append(others, rest...), nil
		}
		others, args = append(others, rest[0]), rest[1:]
	}
}

// Pause waits, and returns the context's error if that ends before.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// RandomHex returns n random bytes in hex.
func RandomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
