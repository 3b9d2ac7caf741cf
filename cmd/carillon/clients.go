package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/carillon-rt/carillon/cmd/carillon/internal/bench"
	"github.com/carillon-rt/carillon/cmd/carillon/internal/client"
	"github.com/carillon-rt/carillon/cmd/carillon/internal/credentials"
	"github.com/carillon-rt/carillon/cmd/carillon/internal/health"
	"github.com/carillon-rt/carillon/cmd/carillon/internal/publish"
	"github.com/carillon-rt/carillon/cmd/carillon/internal/tail"
)

// asClient makes a command of one that talks to a server.
func asClient(run func(context.Context, []string, client.Environment) error) func(context.Context, []string, stdio) error {
	return func(ctx context.Context, args []string, io stdio) error {
		err := run(ctx, args, client.Environment{Getenv: os.Getenv, Stdin: io.in, Stdout: io.out, Stderr: io.err, Stored: stored, ServerURL: func() (string, error) { return serverURL(os.Getenv) }, Version: version()})
		if errors.Is(err, client.ErrUsage) {
			return &usageError{err}
		}
		return err
	}
}

// usageError is an error of whoever called a command.
type usageError struct{ error }

// Is makes it an errUsage.
func (e *usageError) Is(target error) bool { return target == errUsage }

// apps is what one can do with apps.
func apps(ctx context.Context, args []string, io stdio) error {
	if len(args) > 0 && args[0] == "new" {
		return asClient(credentials.Run)(ctx, args[1:], io)
	}
	return fmt.Errorf("carillon apps new makes the credentials of an app, and apps does nothing else; %w", errUsage)
}

// clientCommands are those that talk to servers.
func clientCommands() []command {
	return []command{
		{"publish", "send events to channels of any server of the protocol", asClient(publish.Run)},
		{"tail", "print the events of channels as they come", asClient(tail.Run)},
		{"bench", "find out how many clients and deliveries a machine takes", asClient(bench.Run)},
		{"health", "say with the exit code whether a server takes connections", asClient(health.Run)},
		{"apps", "apps new makes an ID, a key and a secret", apps},
	}
}
