package pusher

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"

	"github.com/carillon-rt/carillon/broker"
)

// AuthRequest is a client's wish to subscribe to a channel.
type AuthRequest struct {
	// SocketID is the connection that wants to subscribe.
	SocketID string
	// Channel is the name of a channel that needs authorization.
	Channel string
	// Kind is the channel's.
	Kind broker.Kind
}

// NewAuthHandler returns the endpoint that pusher-js and Laravel Echo ask before
// they subscribe to a private, encrypted or presence channel; mount it at
// /pusher/auth, or wherever channelAuthorization.endpoint or authEndpoint points.
//
// authorize decides by the request, whose cookies, headers and form (or JSON
// body), which it may read once more, say who asks: it returns the member that the client will be (needed on presence channels, nil
// is fine elsewhere), or an error. broker.Refuse says with which status and
// why; other errors are a 403 that tells nothing.
//
// The handler reads forms and JSON, signs, and adds the key of encrypted
// channels. It answers no CORS preflight: wrap it where pages of other origins
// ask. It panics if authorize is nil.
func NewAuthHandler(app *App, authorize func(*http.Request, AuthRequest) (*broker.Member, error)) http.Handler {
	if authorize == nil {
		panic("pusher: NewAuthHandler without a function")
	}
	return authHandler(func(r *http.Request, fields authFields) (any, error) {
		req := AuthRequest{SocketID: fields.socketID, Channel: fields.channel, Kind: broker.KindOf(fields.channel)}
		if err := checkAuthorizable(req.Channel); err != nil {
			return nil, badRequest("channel_name: %v", err)
		}
		member, err := authorize(r, req)
		if err != nil {
			return nil, err
		}
		return signSubscription(app, req, member)
	})
}

// subscriptionAuth is the answer of the endpoint for channels.
type subscriptionAuth struct {
	Auth         string `json:"auth"`
	ChannelData  string `json:"channel_data,omitempty"`
	SharedSecret string `json:"shared_secret,omitempty"`
}

func signSubscription(app *App, req AuthRequest, member *broker.Member) (any, error) {
	var answer subscriptionAuth
	if member != nil {
		if err := broker.CheckUserID(member.UserID); err != nil {
			return nil, misused("member of channel %q: %v", req.Channel, err)
		}
		data, err := json.Marshal(struct {
			UserID   string          `json:"user_id"`
			UserInfo json.RawMessage `json:"user_info,omitempty"`
		}{member.UserID, member.Info})
		if err != nil {
			return nil, misused("member of channel %q: user_info is not JSON: %v", req.Channel, err)
		}
		answer.ChannelData = string(data)
	} else if req.Kind.Base() == broker.Presence {
		return nil, misused("channel %q: a presence channel needs a member, and the function returned none", req.Channel)
	}
	if req.Kind.Base() == broker.Encrypted {
		if len(app.EncryptionMasterKey) != masterKeyBytes {
			return nil, misused("channel %q: the app has no encryption master key", req.Channel)
		}
		secret := sharedSecret(app, req.Channel)
		answer.SharedSecret = base64.StdEncoding.EncodeToString(secret[:])
	}
	var err error
	if answer.Auth, err = SignChannel(app, req.SocketID, req.Channel, answer.ChannelData); err != nil {
		return nil, misused("member of channel %q: %v", req.Channel, err)
	}
	return answer, nil
}

// misused is the answer when the program, and not the client, is at fault.
func misused(format string, args ...any) error {
	return &apiError{status: http.StatusInternalServerError, message: fmt.Sprintf(format, args...)}
}

// NewUserAuthHandler returns the endpoint that pusher-js asks when a page calls
// signin; mount it at /pusher/user-auth, or wherever
// userAuthentication.endpoint points. authenticate returns who the request comes
// from, or an error; see NewAuthHandler. It panics if authenticate is nil.
func NewUserAuthHandler(app *App, authenticate func(*http.Request) (*broker.User, error)) http.Handler {
	if authenticate == nil {
		panic("pusher: NewUserAuthHandler without a function")
	}
	return authHandler(func(r *http.Request, fields authFields) (any, error) {
		user, err := authenticate(r)
		if err != nil {
			return nil, err
		}
		if user == nil {
			return nil, broker.Refuse(http.StatusForbidden, "not signed in")
		}
		if err := broker.CheckUserID(user.ID); err != nil {
			return nil, misused("user: %v", err)
		}
		data, err := json.Marshal(struct {
			ID        string          `json:"id"`
			UserInfo  json.RawMessage `json:"user_info,omitempty"`
			Watchlist []string        `json:"watchlist,omitempty"`
		}{user.ID, user.Info, user.Watchlist})
		if err != nil {
			return nil, misused("user_info is not JSON: %v", err)
		}
		auth, err := SignUser(app, fields.socketID, string(data))
		if err != nil {
			return nil, misused("user: %v", err)
		}
		return struct {
			Auth     string `json:"auth"`
			UserData string `json:"user_data"`
		}{auth, string(data)}, nil
	})
}

// authFields are what clients send to the endpoints.
type authFields struct {
	socketID, channel string
}

const (
	// maxAuthBody bounds the body of a request to the endpoints, in bytes.
	maxAuthBody = 64 << 10
	// maxAuthReading bounds the bodies that one endpoint reads at once: nothing is
	// known yet of who sends them.
	maxAuthReading = 1000
)

// authHandler does what both endpoints have in common.
func authHandler(answer func(*http.Request, authFields) (any, error)) http.Handler {
	bodies := &bodies{max: maxAuthReading}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := serveAuth(w, r, bodies, answer)
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
		w.WriteHeader(status)
		_, _ = w.Write(out)
	})
}

func serveAuth(w http.ResponseWriter, r *http.Request, bodies *bodies, answer func(*http.Request, authFields) (any, error)) (any, error) {
	if r.Method != http.MethodPost {
		refuseBody(w, r)
		return nil, methodNotAllowed(r.Method, http.MethodPost)
	}
	fields, err := readAuthFields(w, r, bodies)
	if err != nil {
		return nil, err
	}
	if err := checkSocketID(fields.socketID); err != nil {
		return nil, err
	}
	return answer(r, fields)
}

// readAuthFields reads a form, as pusher-js sends it, or JSON. The body may be
// read again, for what else the page has put into it.
func readAuthFields(w http.ResponseWriter, r *http.Request, bodies *bodies) (authFields, error) {
	var fields authFields
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if media != "application/json" && len(r.PostForm) > 0 {
		// A middleware has parsed the form, and left nothing of the body.
		return formFields(r.PostForm), nil
	}
	body, err := bodies.read(w, r, maxAuthBody, nil)
	if err != nil {
		return fields, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if media == "application/json" {
		err := parseObject(body, "body", field{name: "socket_id", text: &fields.socketID},
			field{name: "channel_name", text: &fields.channel})
		return fields, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return fields, badRequest("body is not a valid form: %v", err)
	}
	return formFields(form), nil
}

func formFields(form url.Values) authFields {
	return authFields{socketID: form.Get("socket_id"), channel: form.Get("channel_name")}
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
