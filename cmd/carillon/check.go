package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/carillon-rt/carillon/cmd/carillon/internal/config"
)

// errMistakes says that a file has mistakes, which were written out.
var errMistakes = errors.New("the file has mistakes")

// checkFile is the command check: it explains every mistake in a file, and what may not
// be meant.
func checkFile(_ context.Context, args []string, io stdio) error {
	flags := flag.NewFlagSet("carillon check", flag.ContinueOnError)
	flags.SetOutput(io.out)
	flags.Usage = func() {
		_, _ = fmt.Fprintln(io.out, "carillon check FILE says of every mistake in a configuration on which line it is, and warns of\n"+
			"what may not be meant. Only mistakes end it with exit code 1. What the file refers to as ${NAME}\nhas to be in the environment.")
	}
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return &usageError{err}
	}
	if flags.NArg() != 1 {
		return fmt.Errorf("want one file, carillon check FILE; %w", errUsage)
	}
	file := flags.Arg(0)
	c, err := config.Load(file, os.Getenv)
	var mistakes config.Mistakes
	if errors.As(err, &mistakes) {
		for _, m := range mistakes {
			_, _ = fmt.Fprintf(io.err, "%s: %s\n", file, m)
		}
		return fmt.Errorf("%w: %d", errMistakes, len(mistakes))
	}
	if err != nil {
		return err
	}
	for _, w := range c.Warnings {
		_, _ = fmt.Fprintf(io.out, "%s: warning: %s\n", file, w)
	}
	_, err = fmt.Fprintf(io.out, "%s: no mistakes, %d apps, %d warnings\n", file, len(c.Apps), len(c.Warnings))
	return err
}
