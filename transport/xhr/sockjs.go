package xhr

import (
	"bytes"
	_ "embed" // the iframe is a document
	"fmt"
	"math/rand/v2"
	"net/http"

	"github.com/carillon-rt/carillon/transport"
)

// prelude opens a streaming response to a SockJS client: some browsers show a
// script nothing before 2 KB have come. Clients take it for a heartbeat.
var prelude = append(bytes.Repeat([]byte("h"), 2048), '\n')

// iframe is a page of the server's own origin through which clients connect that
// trust no browser to send requests across origins, as the SockJS client of
// pusher-js's CDN. It speaks version 0.3 of what they say to their frames. Unlike
// SockJS's own it runs no script from elsewhere, and names the page it is for.
//
//go:embed sockjs_frame.html
var iframe []byte

// IframeOrigin is the query parameter that names, in requests of the frame of
// ServeSockJSIframe, the origin of the page around it. Only a browser that was
// given that frame sends it along with the server's own origin.
const IframeOrigin = "frame_origin"

// ServeSockJS answers a request of a SockJS client for the session with this ID:
// "xhr_streaming", "xhr" and "xhr_send" are what ServeReceive and ServeSend
// answer, to a client that wants a prelude, lets the server end long responses
// and may send cookies. Of SockJS's other transports there is none, and a client
// that tries one gets a 404, from which it goes on to the next.
func (s *Server) ServeSockJS(w http.ResponseWriter, r *http.Request, id, action string, open transport.Open) {
	switch action {
	case "xhr_streaming", "xhr", "xhr_send":
	default:
		http.NotFound(w, r)
		return
	}
	if !s.prepare(w, r, http.MethodPost, credentials(w, r)) {
		return
	}
	switch action {
	case "xhr_streaming":
		s.receive(w, r, id, sockJSStreaming, open)
	case "xhr":
		s.receive(w, r, id, sockJSPolling, open)
	default:
		s.send(w, r, id)
	}
}

// ServeSockJSInfo answers what a SockJS client asks first: which transports there
// are. With the interval of heartbeats the client of pusher-js notices a server
// that is gone without a word.
func (s *Server) ServeSockJSInfo(w http.ResponseWriter, r *http.Request) {
	if !s.prepare(w, r, http.MethodGet, credentials(w, r)) {
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=UTF-8")
	h.Set("Cache-Control", noCache)
	_, _ = fmt.Fprintf(w, `{"websocket":false,"cookie_needed":false,"origins":["*:*"],"entropy":%d,"server_heartbeat_interval":%d}`,
		rand.Uint32(), s.heartbeat.Milliseconds())
}

// ServeSockJSIframe answers with the page that carries a SockJS client's
// connection out of a frame of this server's origin.
func (s *Server) ServeSockJSIframe(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=UTF-8")
	h.Set("Cache-Control", noCache)
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'unsafe-inline'; connect-src 'self'")
	_, _ = w.Write(iframe)
}

// credentials lets the requests of SockJS clients pass, which all may carry
// cookies: a browser then wants the origin named. It returns that origin.
func credentials(w http.ResponseWriter, r *http.Request) string {
	h := w.Header()
	h.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if origin == "" {
		return "*"
	}
	h.Set("Access-Control-Allow-Credentials", "true")
	return origin
}
