package server

import (
	"crypto/tls"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificate is that of the server, read again when its files change.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex
	pair    *tls.Certificate // guarded by mu, like all below
	stamps  [2]stamp
	checked time.Time
	failure string // why they could not be read when last tried, so that it is logged once
}

// stamp tells a file from what it was before.
type stamp struct {
	modified time.Time
	size     int64
}

// recheck is how long a certificate is used without a look at its files.
const recheck = time.Second

func loadCertificate(certFile, keyFile string, log *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log}
	c.stamps = c.look()
	return c, c.load()
}

func (c *certificate) look() (s [2]stamp) {
	for i, name := range [...]string{c.certFile, c.keyFile} {
		if info, err := os.Stat(name); err == nil {
			s[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return s
}

func (c *certificate) load() error {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err == nil {
		c.pair = &pair
	}
	return err
}

// get is a tls.Config's GetCertificate. Files that are no certificate and its key, as
// while they are being replaced, leave the old one in use.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.checked) >= recheck {
		c.checked = now
		c.refresh()
	}
	return c.pair, nil
}

// refresh reads the files again if they have changed. mu is held.
func (c *certificate) refresh() {
	if c.look() == c.stamps {
		return
	}
	if c.again() {
		c.log.Info("TLS certificate read again", "file", c.certFile)
	}
}

// again reads the files. If that fails it is tried again, as who is allowed to read a file
// may change, and nothing else of it. mu is held.
func (c *certificate) again() bool {
	c.stamps = c.look()
	err := c.load()
	if err == nil {
		c.failure = ""
		return true
	}
	c.stamps = [2]stamp{}
	if err.Error() != c.failure {
		c.failure = err.Error()
		c.log.Error("TLS certificate not read again: the old one stays in use", "error", err)
	}
	return false
}

// reload reads the files again at once, whether or not they seem to have changed.
func (c *certificate) reload() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failure = ""
	c.again()
}
