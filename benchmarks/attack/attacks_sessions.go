package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// from sends a request that a proxy would have sent for somebody else, and returns
// its status.
func (t *target) from(ctx context.Context, client *http.Client, address, path string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+t.addr+path, strings.NewReader(""))
	if err != nil {
		return 0, err
	}
	req.Header.Set("X-Forwarded-For", address)
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	return res.StatusCode, err
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
				status, err := t.from(ctx, client, "198.51.100.7", fmt.Sprintf("%s/999/h%07d/xhr", path, next.Add(1)))
				switch {
				case ctx.Err() != nil:
				case err == nil && status == http.StatusOK:
					honest.Add(1)
				default:
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
				status, err := t.from(ctx, client, fmt.Sprintf("203.0.113.%d", n%4), fmt.Sprintf("%s/%03d/s%07d/xhr", path, n%1000, n))
				if err == nil && status == http.StatusOK {
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
