package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	// profileLines is how many functions of a profile the report names.
	profileLines = 12
	pprofLimit   = time.Minute
)

// profiled runs f while the server writes a CPU profile, if one is asked for.
func (p *process) profiled(dir, name string, f func() error) error {
	if dir == "" {
		return f()
	}
	path, err := filepath.Abs(filepath.Join(dir, name+".prof"))
	if err != nil {
		return err
	}
	if _, err := p.ask(command{Command: commandProfile, Path: path}); err != nil {
		return err
	}
	err = f()
	_, stopped := p.ask(command{Command: commandProfile})
	return errors.Join(err, stopped)
}

// profileOf runs a scenario once more, for Carillon alone, and returns where its
// CPU time goes. Figures are not taken from that run: profiling costs something.
func (e *env) profileOf(s scenario) (string, error) {
	folder := e.keep
	if folder == "" {
		var err error
		if folder, err = os.MkdirTemp("", "carillon-benchmarks"); err != nil {
			return "", err
		}
		defer func() { _ = os.RemoveAll(folder) }()
	}
	alone := *e
	alone.peers, alone.profiles = []string{carillonPeer}, folder
	if _, err := s.run(&alone); err != nil {
		return "", err
	}
	profiles, err := filepath.Glob(filepath.Join(folder, fmt.Sprintf("%d-*.prof", s.number)))
	if err != nil {
		return "", err
	}
	binary, err := os.Executable()
	if err != nil {
		return "", err
	}
	var all strings.Builder
	for _, path := range profiles {
		top, err := topOf(binary, path)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&all, "%s\n%s", strings.TrimSuffix(filepath.Base(path), ".prof"), top)
	}
	return all.String(), nil
}

// topOf returns the first lines of a profile.
func topOf(binary, profile string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), pprofLimit)
	defer cancel()
	command := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", fmt.Sprintf("-nodecount=%d", profileLines), binary, profile)
	var failure strings.Builder
	command.Stderr = &failure
	out, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("pprof of %s: %w: %s", filepath.Base(profile), err, failure.String())
	}
	// What comes before says which files these were.
	for _, start := range []string{"Duration:", "Showing nodes"} {
		if i := strings.Index(string(out), start); i >= 0 {
			return string(out[i:]), nil
		}
	}
	return string(out), nil
}
