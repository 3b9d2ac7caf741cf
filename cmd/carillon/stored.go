package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/carillon-rt/carillon/cmd/carillon/internal/client"
	"github.com/carillon-rt/carillon/cmd/carillon/internal/config"
	"github.com/carillon-rt/carillon/pusher"
)

// stored reads an app, which its ID or key names where there are several, from a
// configuration file.
func stored(file, name string) (client.Stored, error) {
	c, err := config.Load(file, os.Getenv)
	if err != nil {
		return client.Stored{}, err
	}
	var found []pusher.App
	for _, a := range c.PusherApps {
		if name == "" || a.ID == name || a.Key == name {
			found = append(found, a)
		}
	}
	switch {
	case len(found) == 0:
		return client.Stored{}, fmt.Errorf("%s has no app with the ID or key %q", file, name)
	case len(found) > 1 && name == "":
		return client.Stored{}, fmt.Errorf("%s has %d apps: name one with -app and its ID or key", file, len(found))
	}
	a := found[0]
	s := client.Stored{ID: a.ID, Key: a.Key, Secret: a.Secret}
	if len(a.EncryptionMasterKey) > 0 {
		s.MasterKey = base64.StdEncoding.EncodeToString(a.EncryptionMasterKey)
	}
	if s.URL, err = urlOf(c); err != nil {
		return client.Stored{}, err
	}
	// What does not leave the machine may have a certificate for another name.
	s.Insecure = strings.HasPrefix(s.URL, "https://127.0.0.1:") || strings.HasPrefix(s.URL, "https://[::1]:")
	return s, nil
}

// serverURL is where the server that the environment configures, and the file that it
// names, is reached from this machine. Mistakes in them are not its affair.
func serverURL(env func(string) string) (string, error) {
	c, err := config.Glance(env)
	if err != nil {
		return "", err
	}
	return urlOf(c)
}

func urlOf(c *config.Config) (string, error) {
	for _, address := range c.Listen {
		host, port, err := net.SplitHostPort(address)
		if err != nil || host == "unix" {
			continue
		}
		if at, err := netip.ParseAddr(host); host == "" || (err == nil && at.IsUnspecified()) {
			host = "127.0.0.1"
		}
		scheme := "http"
		if c.TLS.Cert != "" {
			scheme = "https"
		}
		return scheme + "://" + net.JoinHostPort(host, port) + c.Prefix, nil
	}
	return "", errors.New("the server listens on Unix sockets alone: say with -url how it is reached")
}
