package console

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/carillon-rt/carillon/broker"
)

// signs reports whether requests can be signed for the app.
func (a App) signs() bool { return a.Key != "" && a.Secret != "" }

// curl answers with a command that publishes an event over the HTTP API: it is signed for this
// one request, which is taken for ten minutes, and does not have the secret in it.
func (c *Console) curl(k *call) (any, error) {
	var p struct {
		App     string `json:"app"`
		Channel string `json:"channel"`
		Event   string `json:"event"`
		Data    string `json:"data"`
		Exclude string `json:"exclude"`
	}
	if err := k.body(&p); err != nil {
		return nil, err
	}
	app := (*c.apps.Load())[p.App]
	if !app.signs() {
		return nil, errNoKey
	}
	if err := broker.CheckChannelName(p.Channel); err != nil {
		return nil, err
	}
	if err := broker.CheckEventName(p.Event); err != nil {
		return nil, err
	}
	body, err := json.Marshal(struct {
		Name     string   `json:"name"`
		Channels []string `json:"channels"`
		Data     string   `json:"data"`
		SocketID string   `json:"socket_id,omitempty"`
	}{p.Event, []string{p.Channel}, p.Data, p.Exclude})
	if err != nil {
		return nil, err
	}
	base := app.URL
	if base == "" {
		base = "http://" + k.r.Host
	}
	return struct {
		Curl string `json:"curl"`
	}{app.command(strings.TrimSuffix(base, "/"), body, time.Now())}, nil
}

// command is the command, for a POSIX shell.
func (a App) command(base string, body []byte, now time.Time) string {
	path := "/apps/" + url.PathEscape(a.ID) + "/events"
	sum := md5.Sum(body)
	query := fmt.Sprintf("auth_key=%s&auth_timestamp=%d&auth_version=1.0&body_md5=%s", a.Key, now.Unix(), hex.EncodeToString(sum[:]))
	mac := hmac.New(sha256.New, []byte(a.Secret))
	fmt.Fprintf(mac, "POST\n%s\n%s", path, query)
	target := base + path + "?auth_key=" + url.QueryEscape(a.Key) + strings.TrimPrefix(query, "auth_key="+a.Key) + "&auth_signature=" + hex.EncodeToString(mac.Sum(nil))
	return "curl -X POST " + quote(target) + " -H 'Content-Type: application/json' -d " + quote(string(body))
}

// quote makes one word of a text for a POSIX shell.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
