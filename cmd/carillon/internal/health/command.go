// Package health is the command carillon health: it asks a server whether it takes
// connections, for containers that have neither shell nor curl.
package health

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/carillon-rt/carillon/cmd/carillon/internal/client"
)

// Run is the command. It returns nil where the server answers 200.
func Run(ctx context.Context, args []string, env client.Environment) error {
	set := env.FlagSet("health", "", "Asks a server whether it takes connections, and ends with 0 if it does and 1 if it does not.")
	where := set.String("url", "", "what to ask, a `URL`; without it /up of the server that the environment (CARILLON_CONFIG, ADDR, …) configures on this machine")
	insecure := set.Bool("insecure", false, "accept any certificate")
	timeout := set.Duration("timeout", 3*time.Second, "how long the server may take to answer")
	others, err := set.Arguments(args)
	if err != nil {
		return err
	}
	if len(others) > 0 {
		return client.Usage(fmt.Errorf("unexpected argument %q", others[0]))
	}
	if *timeout <= 0 {
		return client.Usage(fmt.Errorf("-timeout %s is no time", *timeout))
	}
	if *where == "" {
		if *where, err = local(env); err != nil {
			return client.Usage(err)
		}
		*insecure = true // its certificate is for the name that others know it by
	}
	if u, err := url.Parse(*where); err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return client.Usage(fmt.Errorf("-url %q is not like http://127.0.0.1:6001/up", *where))
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	return ask(ctx, *where, *insecure)
}

func ask(ctx context.Context, where string, insecure bool) error {
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: insecure}} //nolint:gosec // asked for
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, where, nil)
	if err != nil {
		return err
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		if cause := context.Cause(ctx); errors.Is(cause, context.DeadlineExceeded) {
			err = errors.New("no answer in time")
		}
		return fmt.Errorf("%s: %w", where, err)
	}
	defer func() { _ = res.Body.Close() }()
	body, _ := io.ReadAll(io.LimitReader(res.Body, 200)) // what it says is not what counts
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", where, res.Status, client.Printable(strings.TrimSpace(string(body))))
	}
	return nil
}

// local is the health check of the server that the environment configures.
func local(env client.Environment) (string, error) {
	base, err := env.ServerURL()
	if err != nil {
		return "", err
	}
	u, err := url.Parse(base)
	if err != nil {
		return "", err
	}
	return u.Scheme + "://" + u.Host + "/up", nil
}
