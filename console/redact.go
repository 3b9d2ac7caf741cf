package console

import (
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/carillon-rt/carillon/broker"
)

// hidden stands for the info of users that WithRedact hides, and for URLs that are none.
const hidden = "[hidden]"

func (c *Console) shownIP(ip string) string {
	if c.redact.addresses {
		return ""
	}
	return ip
}

// maxInfo is how much of the info of a user is shown.
const maxInfo = 4 << 10

func (c *Console) shownInfo(info []byte) string {
	if len(info) == 0 {
		return ""
	}
	if c.redact.users {
		return hidden
	}
	return cut(text(info), maxInfo)
}

// shownData returns as much of some data as may be shown, and whether there is more. What is
// hidden is left out, and no text stands for it, which somebody might send on.
func (c *Console) shownData(data []byte, most int) (shown *string, more bool) {
	if c.redact.payloads {
		return nil, false
	}
	s := text(data)
	if more = len(data) > most; more {
		s = text([]byte(cut(string(data[:most+1]), most)))
	}
	return &s, more
}

// text makes UTF-8 of what should be some.
func text(data []byte) string {
	if utf8.Valid(data) {
		return string(data)
	}
	return strings.ToValidUTF8(string(data), "\uFFFD")
}

// shownURL is a URL without the password in it, and without user and query where those are
// hidden.
func (c *Console) shownURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return hidden
	}
	if c.redact.secrets {
		u.User = nil
		if u.RawQuery != "" {
			u.RawQuery = "hidden"
		}
	}
	u.Fragment = ""
	return u.Redacted()
}

// reachText says in words who may read what a channel has kept.
func reachText(r broker.Reach) string {
	var parts []string
	switch r.Readers {
	case broker.OnlyUsers:
		parts = append(parts, "users only")
	case broker.NoSubscriber:
		return "nobody"
	}
	if r.Events > 0 {
		parts = append(parts, "the latest "+number(r.Events)+" events")
	}
	if r.Age > 0 {
		parts = append(parts, "the last "+r.Age.Round(time.Millisecond).String())
	}
	return strings.Join(parts, ", ")
}
