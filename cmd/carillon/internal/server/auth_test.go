package server

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/nacl/secretbox"
)

// authParams is the form that pusher-js sends to an authorization endpoint.
func authParams(ws *wsClient, channel string) []byte {
	return []byte(url.Values{"socket_id": {ws.id}, "channel_name": {channel}}.Encode())
}

func TestAuthorizePrivateChannel(t *testing.T) {
	f := start(t)
	ws, client := f.dial(), f.sdk()
	answer, err := client.AuthorizePrivateChannel(authParams(ws, "private-room"))
	require.NoError(t, err)
	require.Equal(t, "{}", ws.subscribe("private-room", string(answer)))
	require.NoError(t, client.Trigger("private-room", "created", 1))
	ws.expect("created")
}

func TestAuthorizePresenceChannel(t *testing.T) {
	f := start(t)
	ann, bob, client := f.dial(), f.dial(), f.sdk()
	ann.subscribe("presence-room", authorizeMember(t, client, ann, "presence-room", "ann"))
	success := bob.subscribe("presence-room", authorizeMember(t, client, bob, "presence-room", "bob"))
	require.JSONEq(t, `{"presence":{"count":2,"ids":["ann","bob"],"hash":{"ann":{"name":"ann"},"bob":{"name":"bob"}}}}`, success)
	require.JSONEq(t, `{"user_id":"bob","user_info":{"name":"bob"}}`, ann.expect("pusher_internal:member_added").text(t))
}

func TestAuthorizationsOfOthersAreRefused(t *testing.T) {
	f := start(t)
	ws, other, client, wrong := f.dial(), f.dial(), f.sdk(), f.sdk()
	wrong.Secret = "wrong"
	for name, sign := range map[string]func() ([]byte, error){
		"wrong secret":  func() ([]byte, error) { return wrong.AuthorizePrivateChannel(authParams(ws, "private-room")) },
		"other socket":  func() ([]byte, error) { return client.AuthorizePrivateChannel(authParams(other, "private-room")) },
		"other channel": func() ([]byte, error) { return client.AuthorizePrivateChannel(authParams(ws, "private-other")) },
		"none":          func() ([]byte, error) { return []byte(`{"auth":""}`), nil },
	} {
		t.Run(name, func(t *testing.T) {
			answer, err := sign()
			require.NoError(t, err)
			ws.join("private-room", string(answer))
			refused := ws.expect("pusher:subscription_error")
			require.Equal(t, "private-room", refused.Channel)
			var data struct {
				Type   string
				Status int
			}
			require.NoError(t, json.Unmarshal([]byte(refused.text(t)), &data))
			require.Equal(t, "AuthError", data.Type)
			require.Equal(t, 401, data.Status)
			require.Contains(t, string(ws.expect("pusher:error").Data), "Invalid signature")
		})
	}
	ws.subscribe("goes-on", "")
}

func TestAuthenticateUser(t *testing.T) {
	f := start(t)
	ws, client := f.dial(), f.sdk()
	answer, err := client.AuthenticateUser(authParams(ws, ""), map[string]any{"id": "ann", "user_info": map[string]string{"name": "Ann"}})
	require.NoError(t, err)
	ws.send("pusher:signin", json.RawMessage(answer))
	var success struct {
		UserData string `json:"user_data"`
	}
	require.NoError(t, json.Unmarshal([]byte(ws.expect("pusher:signin_success").text(t)), &success))
	require.JSONEq(t, `{"id":"ann","user_info":{"name":"Ann"}}`, success.UserData)

	ws.subscribe("#server-to-user-ann", "")
	require.NoError(t, client.SendToUser("ann", "letter", "hello"))
	require.Equal(t, "hello", ws.expect("letter").text(t))
}

func TestAuthenticateUserWithTheWrongSecret(t *testing.T) {
	f := start(t)
	ws, client := f.dial(), f.sdk()
	client.Secret = "wrong"
	answer, err := client.AuthenticateUser(authParams(ws, ""), map[string]any{"id": "ann"})
	require.NoError(t, err)
	ws.send("pusher:signin", json.RawMessage(answer))
	ws.expect("pusher:error")
	require.EqualValues(t, 4009, ws.closeCode())
}

func TestEncryptedChannel(t *testing.T) {
	const channel = "private-encrypted-room"
	f := start(t, "-encryption-master-key", masterKey)
	ws, client := f.dial(), f.sdk()
	answer, err := client.AuthorizePrivateChannel(authParams(ws, channel))
	require.NoError(t, err)
	ws.subscribe(channel, string(answer))
	require.NoError(t, client.Trigger(channel, "secret", "sesame"))

	var authorization struct {
		SharedSecret string `json:"shared_secret"`
	}
	require.NoError(t, json.Unmarshal(answer, &authorization))
	var sealed struct{ Nonce, Ciphertext string }
	require.NoError(t, json.Unmarshal([]byte(ws.expect("secret").text(t)), &sealed))
	var key [32]byte
	var nonce [24]byte
	copy(key[:], decode(t, authorization.SharedSecret))
	copy(nonce[:], decode(t, sealed.Nonce))
	plain, ok := secretbox.Open(nil, decode(t, sealed.Ciphertext), &nonce, &key)
	require.True(t, ok)
	require.Equal(t, "sesame", string(plain))
}

func decode(t *testing.T, s string) []byte {
	b, err := base64.StdEncoding.DecodeString(s)
	require.NoError(t, err)
	return b
}
