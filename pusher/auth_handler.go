package pusher

import (
	"encoding/json"
	"errors"
	"net/http"
)

const (
	// MaxAuthChannels is how many channels one request to an endpoint of
	// NewAuthHandler may name.
	MaxAuthChannels = 100
	// maxAuthBody bounds the body of a request to the endpoints, in bytes.
	maxAuthBody = 64 << 10
	// maxAuthReading bounds the bodies that one endpoint reads at once: nothing is
	// known yet of who sends them.
	maxAuthReading = 1000
)

// AuthHandler is an endpoint that authorizes subscriptions or sign-ins; see
// NewAuthHandler and NewUserAuthHandler. It is safe for concurrent use.
type AuthHandler struct {
	app    *App
	cors   bool
	bodies bodies
	answer func(*http.Request, *authFields) (any, error)
}

// AuthOption changes an AuthHandler.
type AuthOption func(*AuthHandler)

// WithCORS lets pages of other origins read the answers, those of the app's
// AllowedOrigins: with cookies where a pattern names the origin, without them
// where only "*" does, or for "null" and "file://", which any page can make itself.
func WithCORS() AuthOption { return func(h *AuthHandler) { h.cors = true } }

func newAuthHandler(app *App, options []AuthOption, answer func(*http.Request, *authFields) (any, error)) *AuthHandler {
	h := &AuthHandler{app: app, bodies: bodies{max: maxAuthReading}, answer: answer}
	for _, option := range options {
		option(h)
	}
	return h
}

// LateBodies counts requests whose body did not come within BodyTimeout, or was
// given up for those of others.
func (h *AuthHandler) LateBodies() int64 { return h.bodies.late.Load() }

// ServeHTTP implements http.Handler.
func (h *AuthHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	allowed := h.allowOrigin(w, r)
	if h.cors && r.Method == http.MethodOptions {
		refuseBody(w, r)
		if allowed {
			allowRequest(w, r)
		}
		w.WriteHeader(http.StatusNoContent)
		return
	}
	body, err := h.serve(w, r)
	status := http.StatusOK
	if err != nil {
		a := authFailure(err)
		a.writeHeaders(w.Header())
		status, body = a.status, struct {
			Error string `json:"error"`
		}{clip(a.text)}
	}
	out, err := json.Marshal(body)
	if err != nil {
		status, out = http.StatusInternalServerError, []byte(`{"error":"internal error"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(out)
}

func (h *AuthHandler) serve(w http.ResponseWriter, r *http.Request) (any, error) {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost:
	default:
		refuseBody(w, r)
		return nil, methodNotAllowed(r.Method, "GET, HEAD, POST")
	}
	asked, err := h.read(w, r)
	if err != nil {
		return nil, err
	}
	if err := checkSocketID(asked.socketID); err != nil {
		return nil, err
	}
	return h.answer(r, asked)
}

// allowOrigin says which page may read the answer, and reports whether that of r
// may.
func (h *AuthHandler) allowOrigin(w http.ResponseWriter, r *http.Request) bool {
	if !h.cors {
		return false
	}
	w.Header().Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	named, anybody := listed(origin, h.app.AllowedOrigins)
	switch _, page := parseOrigin(origin); {
	case named && page:
		w.Header().Set("Access-Control-Allow-Origin", origin)
		w.Header().Set("Access-Control-Allow-Credentials", "true")
	case named, anybody:
		w.Header().Set("Access-Control-Allow-Origin", "*")
	default:
		return false
	}
	return true
}

// allowRequest answers a preflight: pages choose the headers of their requests
// themselves.
func allowRequest(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Add("Vary", "Access-Control-Request-Headers")
	header.Set("Access-Control-Allow-Methods", "GET, HEAD, POST")
	header.Set("Access-Control-Max-Age", "7200")
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
		header.Set("Access-Control-Allow-Headers", asked)
	}
}

// authFailure decides what the client is told: a function's own errors are
// nothing to show, unless it has refused with a reason.
func authFailure(err error) answer {
	var own *apiError
	if a := answerTo(err); a.text != failed.text || errors.As(err, &own) {
		return a
	}
	return answer{status: http.StatusForbidden, text: "forbidden"}
}
