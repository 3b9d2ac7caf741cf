package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"syscall"
	"time"

	"github.com/carillon-rt/carillon/internal/arrivals"
)

// serveArgument makes the binary a server process.
const serveArgument = "serve"

// serve runs a peer until in ends. It prints where it listens, and an answer to
// each command.
func serve(args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet(serveArgument, flag.ContinueOnError)
	name := flags.String("peer", "", "the peer to run")
	secure := flags.Bool("tls", false, "serve TLS")
	deflate := flags.Bool("deflate", false, "offer permessage-deflate")
	sendBuffer := flags.Int("sndbuf", 0, "socket send buffer in bytes; 0 leaves the system's")
	rules := flags.Int("rules", 0, "rules for channels, of which the last one matches")
	freely := flags.Bool("freely", false, "let clients send each other as many events as they like")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := raiseFileLimit(); err != nil {
		return err
	}
	p, err := newPeer(*name, peerOptions{deflate: *deflate, rules: *rules, freely: *freely})
	if err != nil {
		return err
	}
	defer p.Close()
	ln, greeting, err := listen(*secure, *sendBuffer)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: p.Handler()}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	s := &server{peer: p, out: out}
	err = s.run(greeting, in)
	_ = srv.Close()
	if e := <-served; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return err
}

func listen(secure bool, sendBuffer int) (net.Listener, hello, error) {
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, hello{}, err
	}
	greeting := hello{Addr: tcp.Addr().String()}
	ln := net.Listener(tcp)
	if sendBuffer > 0 {
		ln = &smallBuffers{Listener: tcp, bytes: sendBuffer}
	}
	if secure {
		if ln, greeting.Certificate, err = secured(ln); err != nil {
			_ = tcp.Close()
			return nil, hello{}, err
		}
	}
	return ln, greeting, nil
}

// smallBuffers bounds what the system takes for a peer that does not read.
type smallBuffers struct {
	net.Listener
	bytes int
}

// Accept implements net.Listener.
func (l *smallBuffers) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if tcp, ok := c.(*net.TCPConn); ok {
		err = errors.Join(err, tcp.SetWriteBuffer(l.bytes))
	}
	return c, err
}

// server answers commands, one after another.
type server struct {
	peer    peer
	out     io.Writer
	started time.Duration // CPU at the last mark
	profile *os.File
}

func (s *server) run(greeting hello, in io.Reader) error {
	line, err := json.Marshal(greeting)
	if err != nil {
		return err
	}
	if _, err := s.out.Write(append(line, '\n')); err != nil {
		return err
	}
	commands := bufio.NewScanner(in)
	for commands.Scan() {
		var c command
		if err := json.Unmarshal(commands.Bytes(), &c); err != nil {
			return err
		}
		a, err := s.do(c)
		if err != nil {
			a.Error = err.Error()
		}
		line, err := a.line()
		if err != nil {
			return err
		}
		if _, err := s.out.Write(line); err != nil {
			return err
		}
	}
	return errors.Join(commands.Err(), s.stopProfile())
}

func (s *server) do(c command) (a answer, err error) {
	switch c.Command {
	case commandPublish:
		return s.publish(c)
	case commandMark:
		s.started, err = cpuTime()
		return a, err
	case commandUsage:
		now, err := cpuTime()
		return answer{CPU: (now - s.started).Seconds()}, err
	case commandMemory:
		return memory()
	case commandProfile:
		return a, s.startProfile(c.Path)
	}
	return a, fmt.Errorf("unknown command %q", c.Command)
}

// publish publishes at a steady rate; what is due late is published at once.
func (s *server) publish(c command) (a answer, err error) {
	if c.Count < 1 || c.Channels < 1 || c.Rate < 0 || c.Size < arrivals.MinPayload {
		return a, fmt.Errorf("publish: invalid command %+v", c)
	}
	names := make([]string, c.Channels)
	for i := range names {
		names[i] = channelName(i)
	}
	fill := arrivals.Filler(c.Size)
	if s.started, err = cpuTime(); err != nil {
		return a, err
	}
	start := time.Now()
	for i := range c.Count {
		if c.Rate > 0 {
			due := start.Add(time.Duration(float64(i) / c.Rate * float64(time.Second)))
			time.Sleep(time.Until(due))
		}
		name := names[0]
		if len(names) > 1 {
			name = names[rand.IntN(len(names))]
		}
		if err := s.peer.Publish(name, arrivals.Payload(fill, time.Now())); err != nil {
			a.Failed++
		}
	}
	a.Seconds = time.Since(start).Seconds()
	return a, nil
}

func (s *server) startProfile(path string) error {
	if err := s.stopProfile(); err != nil || path == "" {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	s.profile = f
	return pprof.StartCPUProfile(f)
}

func (s *server) stopProfile() error {
	if s.profile == nil {
		return nil
	}
	pprof.StopCPUProfile()
	err := s.profile.Close()
	s.profile = nil
	return err
}

// memory tells what the process holds once all garbage is gone. A stack halves
// at most once a collection.
func memory() (answer, error) {
	for range 4 {
		runtime.GC()
	}
	debug.FreeOSMemory()
	rss, err := residentMemory()
	return answer{RSS: rss, Goroutines: runtime.NumGoroutine()}, err
}

// cpuTime is the user and system time of this process.
func cpuTime() (time.Duration, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, err
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}
