package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"time"
)

const (
	// processLimit is how long a server process may run, and stopLimit how long
	// it may take to end once it was told to.
	processLimit = 5 * time.Minute
	stopLimit    = 15 * time.Second
)

// serverOptions say how to run a peer.
type serverOptions struct {
	tls, deflate bool
	// sendBuffer is the send buffer of each socket in bytes; 0 leaves the
	// system's.
	sendBuffer int
	// rules is how many rules for channels Carillon has; the last one matches.
	rules int
	// freely lets Carillon's clients send each other as many events as they like.
	freely bool
}

func (o serverOptions) arguments(peer string) []string {
	return []string{serveArgument, "-peer", peer, "-tls=" + strconv.FormatBool(o.tls),
		"-deflate=" + strconv.FormatBool(o.deflate), "-sndbuf", strconv.Itoa(o.sendBuffer),
		"-rules", strconv.Itoa(o.rules), "-freely=" + strconv.FormatBool(o.freely)}
}

// process is this binary, run as the server of a peer.
type process struct {
	command *exec.Cmd
	cancel  context.CancelFunc
	in      io.WriteCloser
	out     *bufio.Scanner
	hello   hello
}

func startProcess(peer string, o serverOptions) (*process, error) {
	binary, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), processLimit)
	p := &process{command: exec.CommandContext(ctx, binary, o.arguments(peer)...), cancel: cancel}
	p.command.Stderr = os.Stderr
	p.command.WaitDelay = time.Second
	in, err := p.command.StdinPipe()
	if err != nil {
		cancel()
		return nil, err
	}
	out, err := p.command.StdoutPipe()
	if err != nil {
		cancel()
		return nil, err
	}
	p.in, p.out = in, bufio.NewScanner(out)
	if err := p.command.Start(); err != nil {
		cancel()
		return nil, err
	}
	if err := p.next(&p.hello); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

// next reads the next line that the process prints.
func (p *process) next(into any) error {
	if !p.out.Scan() {
		if err := p.out.Err(); err != nil {
			return err
		}
		return fmt.Errorf("the server process has ended: %w", io.ErrUnexpectedEOF)
	}
	return json.Unmarshal(p.out.Bytes(), into)
}

// ask sends a command and waits for its answer.
func (p *process) ask(c command) (answer, error) {
	line, err := json.Marshal(c)
	if err != nil {
		return answer{}, err
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		return answer{}, err
	}
	var a answer
	if err := p.next(&a); err != nil {
		return a, err
	}
	if a.Error != "" {
		return a, fmt.Errorf("%s: %s", c.Command, a.Error)
	}
	return a, nil
}

// stop ends the process by closing its input, or by killing it when that takes
// too long.
func (p *process) stop() error {
	defer p.cancel()
	kill := time.AfterFunc(stopLimit, p.cancel)
	defer kill.Stop()
	err := p.in.Close()
	for p.out.Scan() {
	}
	return errors.Join(err, p.command.Wait())
}
