package pusher

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/carillon-rt/carillon/transport"
)

// serveSocket upgrades r to a WebSocket connection of the app with the key.
// Whatever speaks against the connection is told over it: a browser cannot read
// the status of a failed upgrade.
func (h *Handler) serveSocket(w http.ResponseWriter, r *http.Request, key string) {
	if !isUpgrade(r) {
		refuseBody(w, r)
		if r.ProtoMajor == 1 { // a later one knows no such header (RFC 9113, section 8.2.2)
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Upgrade", "websocket")
		}
		http.Error(w, "connect to this path with WebSocket", http.StatusUpgradeRequired)
		return
	}
	d := h.dial(r, key)
	h.upgrade(w, r, d.IP, h.Open(r.Context(), d))
}

// dial is what the client of r says when it connects to the app with the key,
// which is as it stands in the path.
func (h *Handler) dial(r *http.Request, key string) Dial {
	d := h.dialFrom(r)
	d.to(key, r.URL.Query())
	return d
}

// dialFrom is what r says of its client, but for what it connects to.
func (h *Handler) dialFrom(r *http.Request) Dial {
	c := h.options.client(r)
	return Dial{Origin: r.Header.Get("Origin"), Host: c.host, IP: c.ip, Secure: c.secure, Header: r.Header}
}

// to sets what d connects to, and how.
func (d *Dial) to(key string, q url.Values) {
	if plain, err := url.PathUnescape(key); err == nil {
		key = plain
	}
	d.Key, d.Protocol, d.Client, d.Version = key, q.Get("protocol"), q.Get("client"), q.Get("version")
}

func (h *Handler) rejectSocket(w http.ResponseWriter, r *http.Request, e *closeError) {
	ip := h.options.client(r).ip
	h.upgrade(w, r, ip, h.placed(ip, func(conn transport.Conn) transport.Receiver {
		reject(conn, e)
		return rejected{}
	}))
}

// upgrade answers the handshake of a client with this address.
func (h *Handler) upgrade(w http.ResponseWriter, r *http.Request, ip string, open transport.Open) {
	if h.addresses.crowded(ip) {
		h.addresses.refused.Add(1)
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many connections from one address", http.StatusServiceUnavailable)
		return
	}
	err := h.sockets.Serve(w, r, open)
	if err == nil {
		return
	}
	level := slog.LevelDebug // what clients do wrong
	if errors.Is(err, http.ErrNotSupported) {
		level = slog.LevelError // what the program does wrong, for all of them
	}
	h.log.Log(context.WithoutCancel(r.Context()), level, "upgrade failed", "remote", r.RemoteAddr, "error", err)
}
