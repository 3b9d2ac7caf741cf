package main

import (
	"context"
	"errors"
	"flag"
	"os"

	"github.com/carillon-rt/carillon/cmd/carillon/internal/server"
)

// runServer is the command run.
func runServer(ctx context.Context, args []string, io stdio) error {
	err := server.Run(ctx, args, os.Getenv, io.out, io.err)
	if errors.Is(err, server.ErrConfig) && !errors.Is(err, flag.ErrHelp) {
		return &usageError{err}
	}
	return err
}
