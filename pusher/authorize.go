package pusher

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/carillon-rt/carillon/broker"
)

// AuthRequest is a client's request to subscribe to a channel.
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
// authorize decides by the request, whose cookies, headers and body, which it may
// read once more, say who asks: it returns the member that the client will be
// (needed on presence channels, nil is fine elsewhere), or an error. broker.Refuse
// says with which status and why; other errors are a 403 that tells nothing.
//
// The handler reads what it is asked from forms, multipart or not, from JSON of any
// type, and, where the body does not say, from the query. It signs, and adds the key
// of encrypted channels. Of several channels in one request, as the plugin
// pusher-js-auth sends them (channel_name[0], channel_name[1], …, or a list in JSON,
// up to MaxAuthChannels), authorize is asked for each, and the answer is
// {"channel":{"status":200,"data":{…}},…}. It answers no JSONP, with which any page
// could read what is signed for its visitors, and pages of other origins only with
// WithCORS. It panics if authorize is nil.
//
// Clients that can be made to send no more than their authorizer gives them go on from a
// position with the fields resume, which is the position or empty, and resume_sockets,
// their earlier socket IDs separated by commas: they become part of channel_data.
func NewAuthHandler(app *App, authorize func(*http.Request, AuthRequest) (*broker.Member, error), options ...AuthOption) *AuthHandler {
	if authorize == nil {
		panic("pusher: NewAuthHandler without a function")
	}
	one := func(r *http.Request, socketID, channel string, resume *resumeData) (any, error) {
		req := AuthRequest{SocketID: socketID, Channel: channel, Kind: broker.KindOf(channel)}
		if err := checkAuthorizable(channel); err != nil {
			return nil, badRequest("channel_name: %v", err)
		}
		member, err := authorize(r, req)
		if err != nil {
			return nil, err
		}
		return signSubscription(app, req, member, resume)
	}
	return newAuthHandler(app, options, func(r *http.Request, asked *authFields) (any, error) {
		if !asked.several {
			return one(r, asked.socketID, asked.channel(), asked.resume)
		}
		type verdict struct {
			Status int    `json:"status"`
			Data   any    `json:"data,omitempty"`
			Error  string `json:"error,omitempty"`
		}
		verdicts := make(map[string]verdict, len(asked.channels))
		for _, channel := range asked.channels {
			if _, done := verdicts[channel]; done {
				continue
			}
			asked.rewind(r)
			data, err := one(r, asked.socketID, channel, nil)
			if err != nil {
				a := authFailure(err)
				verdicts[channel] = verdict{Status: a.status, Error: clip(a.text)}
				continue
			}
			verdicts[channel] = verdict{Status: http.StatusOK, Data: data}
		}
		return verdicts, nil
	})
}

// subscriptionAuth is the answer of the endpoint for channels.
type subscriptionAuth struct {
	Auth         string `json:"auth"`
	ChannelData  string `json:"channel_data,omitempty"`
	SharedSecret string `json:"shared_secret,omitempty"`
}

// authExpires is the field of channel_data that says when the authorization ends, in
// seconds since 1970. Clients pass channel_data on as it is, and it is signed.
const authExpires = "auth_expires"

// channelData is the JSON that goes with a signature.
type channelData struct {
	UserID   string          `json:"user_id,omitempty"`
	UserInfo json.RawMessage `json:"user_info,omitempty"`
	Expires  int64           `json:"auth_expires,omitempty"`
	Resume   *resumeData     `json:"resume,omitempty"`
}

// resumeData is "resume" within channel_data.
type resumeData struct {
	Version int      `json:"v"`
	After   string   `json:"after,omitempty"`
	Sockets []string `json:"sockets,omitempty"`
}

// expires is when an authorization that is made now ends; 0 for never. Clients come
// back when it does, so it is up to a tenth earlier than it might be: not all that
// came at once come back at once.
func (a *App) expires() int64 {
	if a.AuthorizationLifetime == 0 {
		return 0
	}
	early := rand.N(max(a.AuthorizationLifetime/10, 1))
	return time.Now().Add(a.AuthorizationLifetime - early).Unix()
}

func signSubscription(app *App, req AuthRequest, member *broker.Member, resume *resumeData) (any, error) {
	var answer subscriptionAuth
	extra := channelData{Expires: app.expires(), Resume: resume}
	if member != nil {
		if err := broker.CheckUserID(member.UserID); err != nil {
			return nil, misused("member of channel %q: %v", req.Channel, err)
		}
		extra.UserID, extra.UserInfo = member.UserID, member.Info
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
	if member != nil || extra.Expires != 0 || resume != nil {
		data, err := json.Marshal(extra)
		if err != nil {
			return nil, misused("member of channel %q: user_info is not JSON: %v", req.Channel, err)
		}
		answer.ChannelData = string(data)
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
func NewUserAuthHandler(app *App, authenticate func(*http.Request) (*broker.User, error), options ...AuthOption) *AuthHandler {
	if authenticate == nil {
		panic("pusher: NewUserAuthHandler without a function")
	}
	return newAuthHandler(app, options, func(r *http.Request, asked *authFields) (any, error) {
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
		auth, err := SignUser(app, asked.socketID, string(data))
		if err != nil {
			return nil, misused("user: %v", err)
		}
		return struct {
			Auth     string `json:"auth"`
			UserData string `json:"user_data"`
		}{auth, string(data)}, nil
	})
}
