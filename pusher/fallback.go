package pusher

import (
	"net/http"

	"github.com/carillon-rt/carillon/transport/xhr"
)

// xhrRoute is a path of the transports that pusher-js falls back to:
// "{prefix}/app/{key}/{number}/{session}/{action}".
type xhrRoute struct {
	key, session, action string
}

// The client chooses a number and eight characters.
const (
	maxXHRNumber  = 3
	maxXHRSession = 32
)

func parseXHRRoute(path string) (route xhrRoute, ok bool) {
	rest, action, _ := cutLast(path)
	rest, session, _ := cutLast(rest)
	rest, number, _ := cutLast(rest)
	rest, key, ok := cutLast(rest)
	if _, app, _ := cutLast(rest); !ok || app != "app" || key == "" || !sessionNamed(number, session) {
		return xhrRoute{}, false
	}
	switch action {
	case "xhr_streaming", "xhr", "xhr_send":
		return xhrRoute{key: key, session: key + "/" + number + "/" + session, action: action}, true
	}
	return xhrRoute{}, false
}

func sessionNamed(number, session string) bool {
	return number != "" && len(number) <= maxXHRNumber && session != "" && len(session) <= maxXHRSession
}

// serveXHR answers a request of the xhr_streaming and xhr_polling transports.
func (h *Handler) serveXHR(w http.ResponseWriter, r *http.Request, route xhrRoute) {
	switch route.action {
	case "xhr_send":
		h.xhr.ServeSend(w, r, route.session)
	case "xhr":
		h.xhr.ServeReceive(w, r, route.session, xhr.Polling, h.Open(r.Context(), h.dial(r, route.key)))
	default:
		h.xhr.ServeReceive(w, r, route.session, xhr.Streaming, h.Open(r.Context(), h.dial(r, route.key)))
	}
}
