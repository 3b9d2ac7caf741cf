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
	now := c.look()
	if now == c.stamps {
		return
	}
	c.stamps = now
	if err := c.load(); err != nil {
		c.log.Error("TLS certificate not read again: the old one stays in use", "error", err)
		return
	}
	c.log.Info("TLS certificate read again", "file", c.certFile)
}

// reload reads the files again at once, whether or not they seem to have changed.
func (c *certificate) reload() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stamps = c.look()
	if err := c.load(); err != nil {
		c.log.Error("TLS certificate not read again: the old one stays in use", "error", err)
	}
}
