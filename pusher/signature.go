package pusher

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/carillon-rt/carillon/broker"
)

// Errors of signatures. They come wrapped: use errors.Is.
var (
	// ErrSignature says that a signature is missing or not valid.
	ErrSignature = errors.New("invalid signature")
	// ErrTimestamp says that a request was signed too long ago, or in the
	// future.
	ErrTimestamp = errors.New("timestamp expired")
)

// SignChannel returns the auth string for a subscription of the connection with
// the socket ID (https://pusher.com/docs/channels/library_auth_reference/auth-signatures/).
// channelData is the presence member's JSON as it will be sent, byte for byte, or
// empty.
//
// It refuses input that could be taken for something else once signed: errors wrap
// broker.ErrInvalid and name the socket ID, the channel, which has to be one that needs
// authorization, or the member's field.
func SignChannel(app *App, socketID, channel, channelData string) (string, error) {
	if err := checkSocketID(socketID); err != nil {
		return "", err
	}
	if err := checkAuthorizable(channel); err != nil {
		return "", err
	}
	if channelData != "" && broker.KindOf(channel).Base() == broker.Presence {
		if _, err := parseChannelData(channelData, app.Limits.withDefaults()); err != nil {
			return "", err
		}
	}
	return app.Key + ":" + channelSignature(app, socketID, channel, channelData), nil
}

// checkAuthorizable returns a *broker.FieldError unless a subscription to the
// channel is authorized by a signature.
func checkAuthorizable(channel string) error {
	if err := broker.CheckChannelName(channel); err != nil {
		return err
	}
	if kind := broker.KindOf(channel); !kind.NeedsAuthorization() {
		return &broker.FieldError{Field: "channel", Value: channel,
			Problem: fmt.Sprintf("is a %s channel, which needs no authorization", kind)}
	}
	return nil
}

func checkSocketID(id string) error {
	if !validSocketID(id) {
		return &broker.FieldError{Field: "socket_id", Value: id, Problem: "is not two numbers joined by a dot"}
	}
	return nil
}

func channelSignature(app *App, socketID, channel, channelData string) string {
	return sign(app.Secret, channelText(socketID, channel, channelData)...)
}

// channelText is what is signed for a subscription, in parts.
func channelText(socketID, channel, channelData string) []string {
	if channelData != "" {
		return []string{socketID, ":", channel, ":", channelData}
	}
	return []string{socketID, ":", channel}
}

// SignUser returns the auth string for signing the connection with the socket
// ID in. userData is the user's JSON as it will be sent, byte for byte. Errors wrap
// broker.ErrInvalid and name the socket ID or the user's field.
func SignUser(app *App, socketID, userData string) (string, error) {
	if err := checkSocketID(socketID); err != nil {
		return "", err
	}
	if _, err := parseUserData(userData, app.Limits.withDefaults()); err != nil {
		return "", err
	}
	return app.Key + ":" + userSignature(app, socketID, userData), nil
}

func userSignature(app *App, socketID, userData string) string {
	return sign(app.Secret, userText(socketID, userData)...)
}

// userText is what is signed for a sign-in, in parts.
func userText(socketID, userData string) []string { return []string{socketID, "::user::", userData} }

// signWebhook returns the signature of a webhook's body.
func signWebhook(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// sign returns the HMAC-SHA256 of the parts, one after another, in hex.
func sign(secret string, parts ...string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	for _, part := range parts {
		mac.Write([]byte(part))
	}
	return hex.EncodeToString(mac.Sum(nil))
}

func verifyChannelAuth(app *App, socketID, channel, channelData, auth string) error {
	return verifyAuth(app, auth, channelText(socketID, channel, channelData)...)
}

func verifyUserAuth(app *App, socketID, userData, auth string) error {
	return verifyAuth(app, auth, userText(socketID, userData)...)
}

// verifyAuth checks "key:signature" against the text that was to be signed.
func verifyAuth(app *App, auth string, text ...string) error {
	if auth == "" {
		return fmt.Errorf("%w: auth is missing", ErrSignature)
	}
	key, got, ok := strings.Cut(auth, ":")
	if !ok {
		return fmt.Errorf("%w: auth is not of the form key:signature", ErrSignature)
	}
	if key != app.Key {
		return fmt.Errorf("%w: auth is for app key %q, the connection's is %q", ErrSignature, key, app.Key)
	}
	if !app.signed(got, text...) {
		return fmt.Errorf("%w: auth was not made with the app's secret for this socket ID, channel and data", ErrSignature)
	}
	return nil
}

// expectedSignature says, in the words of the hosted service, what the client was
// to sign.
func expectedSignature(socketID string, sub subscribeData) string {
	signed := socketID + ":" + sub.channel
	if sub.channelData != "" {
		signed += ":" + sub.channelData
	}
	_, got, _ := strings.Cut(sub.auth, ":")
	return "Invalid signature: Expected HMAC SHA256 hex digest of " + signed + ", but got " + got
}

// signed reports whether a signature of the text, in parts, was made with one of the
// app's secrets.
func (a *App) signed(got string, text ...string) bool {
	if equal(got, sign(a.Secret, text...)) {
		return true
	}
	return slices.ContainsFunc(a.OtherSecrets, func(secret string) bool { return equal(got, sign(secret, text...)) })
}

// equal compares two signatures in constant time. Hex digits are compared in
// lower case.
func equal(got, want string) bool {
	return hmac.Equal([]byte(strings.ToLower(got)), []byte(want))
}
