package server

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/cloudflare/tableflip"

	"github.com/carillon-rt/carillon/cmd/carillon/internal/config"
)

// sockets are where listening sockets come from: whoever started the process had them
// already (systemd, or the process before this one), or they are made here.
type sockets struct {
	// upgrader hands them to the next process; nil where no process takes the place of
	// another one, as in tests and on Windows.
	upgrader *tableflip.Upgrader
	env      func(string) string
	// given are those of systemd; nil if it gave none.
	given []socket
}

// socket is one that listens.
type socket struct {
	net.Listener
	// name is what systemd calls it.
	name  string
	close func() error
}

func newSocket(l net.Listener, name string) socket {
	return socket{Listener: l, name: name, close: sync.OnceValue(l.Close)}
}

// Close may be called again, as an http.Server does that is shut down.
func (s socket) Close() error { return s.close() }

// activated is the network under which the sockets of systemd are handed on.
const activated = "systemd"

// adminName is what systemd calls the socket for operators.
const adminName = "admin"

// firstGiven is the number of the first file that systemd gives.
const firstGiven = 3

// findGiven takes the sockets that systemd has opened for this process, or those that the
// process before had from it.
func (s *sockets) findGiven() error {
	count, _ := strconv.Atoi(s.env("LISTEN_FDS"))
	inherited := s.upgrader != nil && s.upgrader.HasParent()
	if count <= 0 || !inherited && s.env("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil
	}
	names := strings.Split(s.env("LISTEN_FDNAMES"), ":")
	for i := range count {
		l, err := s.take(i, inherited)
		if l == nil && err == nil && i == 0 {
			return nil // the variables are of another process's sockets, as before
		}
		if l == nil && err == nil {
			err = errors.New("the process before did not hand it on")
		}
		if err != nil {
			return fmt.Errorf("socket %d of systemd: %w", i, err)
		}
		name := ""
		if i < len(names) {
			name = names[i]
		}
		s.given = append(s.given, newSocket(l, name))
	}
	return nil
}

// take returns nil where the process before had no such socket.
func (s *sockets) take(i int, inherited bool) (net.Listener, error) {
	if inherited {
		return s.upgrader.Listener(activated, strconv.Itoa(i))
	}
	file := os.NewFile(uintptr(firstGiven+i), "")
	if file == nil {
		return nil, errors.New("is not open")
	}
	defer func() { _ = file.Close() }()
	l, err := net.FileListener(file)
	if err != nil {
		return nil, err
	}
	if shared, ok := l.(tableflip.Listener); ok && s.upgrader != nil {
		err = s.upgrader.AddListener(activated, strconv.Itoa(i), shared)
	}
	return l, err
}

// clients returns the sockets at which clients connect: those of systemd that are not
// called admin, else those of the addresses.
func (s *sockets) clients(addresses []string, mode fs.FileMode) (all []socket, err error) {
	for _, given := range s.given {
		if given.name != adminName {
			all = append(all, given)
		}
	}
	if len(all) > 0 {
		return all, nil
	}
	for _, address := range addresses {
		l, err := s.listen(address, mode)
		if err != nil {
			closeAll(all)
			return nil, err
		}
		all = append(all, newSocket(l, ""))
	}
	return all, nil
}

// admin returns the socket of console and metrics, nil if there is none.
func (s *sockets) admin(address string, mode fs.FileMode) (net.Listener, error) {
	for _, given := range s.given {
		if given.name == adminName {
			return given.Listener, nil
		}
	}
	if address == "" {
		return nil, nil
	}
	return s.listen(address, mode)
}

// listen returns the socket of an address, which the process before may have had.
func (s *sockets) listen(address string, mode fs.FileMode) (net.Listener, error) {
	network, at := config.SplitAddress(address)
	bind := func(network, at string) (net.Listener, error) {
		if network == "unix" {
			return listenUnix(at, mode)
		}
		return net.Listen(network, at)
	}
	if s.upgrader != nil {
		l, err := s.upgrader.ListenWithCallback(network, at, bind)
		return l, named(address, err)
	}
	l, err := bind(network, at)
	return l, named(address, err)
}

func named(address string, err error) error {
	if err != nil {
		return fmt.Errorf("listen on %s: %w", address, err)
	}
	return nil
}

// listenUnix takes the place of a socket that nobody listens on any more.
func listenUnix(file string, mode fs.FileMode) (net.Listener, error) {
	if info, err := os.Lstat(file); err == nil && info.Mode().Type() == fs.ModeSocket {
		c, err := net.Dial("unix", file)
		if err == nil {
			_ = c.Close()
		} else if errors.Is(err, syscall.ECONNREFUSED) {
			_ = os.Remove(file)
		}
	}
	l, err := net.Listen("unix", file)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(file, mode); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func closeAll(all []socket) {
	for _, l := range all {
		_ = l.Close()
	}
}

// ready tells the process before this one, and systemd, that clients are served.
func (s *sockets) ready() error {
	notify(s.env, fmt.Sprintf("READY=1\nMAINPID=%d", os.Getpid()))
	if s.upgrader == nil {
		return nil
	}
	return s.upgrader.Ready()
}

// replaced ends once another process has taken over; never without an upgrader.
func (s *sockets) replaced() <-chan struct{} {
	if s.upgrader == nil {
		return nil
	}
	return s.upgrader.Exit()
}

// release lets go of the sockets: without another process, nobody listens any more.
func (s *sockets) release() {
	if s.upgrader != nil {
		s.upgrader.Stop()
		<-s.upgrader.Exit()
	}
}
