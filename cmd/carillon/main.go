// Carillon is a realtime server for clients and backends written for Pusher.
//
//	PUSHER_APP_ID=1 PUSHER_APP_KEY=key PUSHER_APP_SECRET=secret carillon
//
// Run it with help for its commands; without one, it serves. A wrong command line
// ends it with exit code 2, any other failure with 1. It ends gracefully on SIGTERM
// and SIGINT: connections are closed so that their clients come back at once. A
// second signal ends it without that.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"
)

// stdio is what a command reads from and writes to.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

// command is one of the things that the program does.
type command struct {
	name string
	// help is one line, for the list of commands.
	help string
	// run gets the arguments after the command's name. An error that wraps errUsage
	// ends the program with exit code 2, flag.ErrHelp with 0, any other with 1.
	run func(ctx context.Context, args []string, io stdio) error
}

// commands lists what the program does, in the order of the help.
func commands() []command {
	return append(append([]command{
		{"run", "serve; what carillon does without a command", runServer},
		{"check", "explain every mistake in a configuration file", checkFile},
	}, clientCommands()...), command{"version", "say which version this is, and what it was built with", printVersion})
}

// errUsage says that the command line, or what stands for it, is wrong.
var errUsage = errors.New("see -help")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	os.Exit(execute(ctx, os.Args[1:], stdio{os.Stdin, os.Stdout, os.Stderr}))
}

// execute runs the command that the arguments name and returns the exit code.
func execute(ctx context.Context, args []string, io stdio) int {
	err := dispatch(ctx, args, io)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	_, _ = fmt.Fprintln(io.err, "carillon:", err)
	if errors.Is(err, errUsage) {
		return 2
	}
	return 1
}

func dispatch(ctx context.Context, args []string, io stdio) error {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return runServer(ctx, args, io)
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return c.run(ctx, args[1:], io)
		}
	}
	if args[0] == "help" {
		return listCommands(io.out)
	}
	return fmt.Errorf("there is no command %q: carillon help lists them; %w", args[0], errUsage)
}

func listCommands(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintln(table, "Carillon is a realtime server for clients and backends written for Pusher.\n\nCommands, each with -help of its own:")
	for _, c := range commands() {
		_, _ = fmt.Fprintf(table, "  %s\t%s\n", c.name, c.help)
	}
	return table.Flush()
}
