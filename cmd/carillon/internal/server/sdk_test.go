package server

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	sdk "github.com/pusher/pusher-http-go/v5"
	"github.com/stretchr/testify/require"
)

func TestTrigger(t *testing.T) {
	f := start(t)
	ws := f.dial()
	ws.subscribe("news", "")
	ws.subscribe("other", "")
	client := f.sdk()

	require.NoError(t, client.Trigger("news", "created", map[string]any{"text": `grüße "🎶"`, "n": 1}))
	got := ws.expect("created")
	require.Equal(t, "news", got.Channel)
	require.JSONEq(t, `{"text":"grüße \"🎶\"","n":1}`, got.text(t))

	require.NoError(t, client.Trigger("news", "text", "plain"))
	require.Equal(t, "plain", ws.expect("text").text(t))

	require.NoError(t, client.TriggerMulti([]string{"news", "other"}, "both", []int{1, 2}))
	channels := []string{ws.expect("both").Channel, ws.expect("both").Channel}
	require.ElementsMatch(t, []string{"news", "other"}, channels)
}

// TestLargeEvents raises every bound that an event of that size has to pass.
func TestLargeEvents(t *testing.T) {
	f := start(t, "-event-bytes", "300000")
	ada, bob, client := f.dial(), f.dial(), f.sdk()
	for _, ws := range []*wsClient{ada, bob} {
		ws.ws.SetReadLimit(4 << 20)
		answer, err := client.AuthorizePrivateChannel(authParams(ws, "private-room"))
		require.NoError(t, err)
		ws.subscribe("private-room", string(answer))
	}
	client.OverrideMaxMessagePayloadKB = 2000
	data := strings.Repeat(`"`, 300_000)
	require.NoError(t, client.Trigger("private-room", "large", data))
	require.Equal(t, data, ada.expect("large").text(t))
	require.Equal(t, data, bob.expect("large").text(t))
	ada.sendOn("client-large", "private-room", data)
	require.Equal(t, data, bob.expect("client-large").text(t))
	require.ErrorContains(t, client.Trigger("private-room", "larger", data+`"`), "300000")
}

func TestTriggerExcludesASocket(t *testing.T) {
	f := start(t)
	sender, other := f.dial(), f.dial()
	for _, ws := range []*wsClient{sender, other} {
		ws.subscribe("news", "")
		ws.subscribe("more", "")
	}
	client := f.sdk()
	others := sdk.TriggerParams{SocketID: &sender.id}
	_, err := client.TriggerWithParams("news", "one", 1, others)
	require.NoError(t, err)
	_, err = client.TriggerMultiWithParams([]string{"news", "more"}, "two", 2, others)
	require.NoError(t, err)
	_, err = client.TriggerBatch([]sdk.Event{{Channel: "news", Name: "three", Data: 3, SocketID: &sender.id}})
	require.NoError(t, err)
	require.NoError(t, client.Trigger("news", "all", 4))

	sender.expect("all")
	for _, event := range []string{"one", "two", "two", "three", "all"} {
		other.expect(event)
	}
}

func TestTriggerTellsWhatItIsAsked(t *testing.T) {
	f := start(t)
	client := f.sdk()
	for range 2 {
		ws := f.dial()
		ws.subscribe("presence-room", authorizeMember(t, client, ws, "presence-room", "ann"))
		ws.subscribe("news", "")
	}
	info := "user_count,subscription_count"
	params := sdk.TriggerParams{Info: &info}
	list, err := client.TriggerMultiWithParams([]string{"presence-room", "news", "empty"}, "x", 1, params)
	require.NoError(t, err)
	one, two, none := 1, 2, 0
	require.Equal(t, &sdk.TriggerChannelsList{Channels: map[string]sdk.TriggerChannelListItem{
		"presence-room": {UserCount: &one, SubscriptionCount: &two},
		"news":          {SubscriptionCount: &two},
		"empty":         {SubscriptionCount: &none},
	}}, list)

	batch, err := client.TriggerBatch([]sdk.Event{
		{Channel: "presence-room", Name: "x", Data: 1, Info: &info},
		{Channel: "news", Name: "x", Data: 1},
	})
	require.NoError(t, err)
	require.Equal(t, []sdk.TriggerBatchChannelListItem{{UserCount: &one, SubscriptionCount: &two}, {}}, batch.Batch)

	nothing, err := client.TriggerWithParams("news", "x", 1, sdk.TriggerParams{})
	require.NoError(t, err)
	require.Empty(t, nothing.Channels)
}

func TestTriggerBatchKeepsItsOrder(t *testing.T) {
	f := start(t)
	ws := f.dial()
	ws.subscribe("news", "")
	batch := make([]sdk.Event, 10)
	for i := range batch {
		batch[i] = sdk.Event{Channel: "news", Name: fmt.Sprint("event-", i), Data: i}
	}
	_, err := f.sdk().TriggerBatch(batch)
	require.NoError(t, err)
	for i := range batch {
		require.Equal(t, fmt.Sprint(i), ws.expect(fmt.Sprint("event-", i)).text(t))
	}
}

func TestQuestions(t *testing.T) {
	f := start(t)
	client := f.sdk()
	empty, err := client.Channels(sdk.ChannelsParams{})
	require.NoError(t, err)
	require.Equal(t, map[string]sdk.ChannelListItem{}, empty.Channels)

	for _, id := range []string{"ann", "ann", "bob"} {
		ws := f.dial()
		ws.subscribe("presence-room", authorizeMember(t, client, ws, "presence-room", id))
		ws.subscribe("news", "")
	}
	prefix, users, all := "presence-", "user_count", "user_count,subscription_count"
	list, err := client.Channels(sdk.ChannelsParams{FilterByPrefix: &prefix, Info: &users})
	require.NoError(t, err)
	require.Equal(t, map[string]sdk.ChannelListItem{"presence-room": {UserCount: 2}}, list.Channels)
	list, err = client.Channels(sdk.ChannelsParams{})
	require.NoError(t, err)
	require.Len(t, list.Channels, 2)

	room, err := client.Channel("presence-room", sdk.ChannelParams{Info: &all})
	require.NoError(t, err)
	require.Equal(t, &sdk.Channel{Name: "presence-room", Occupied: true, UserCount: 2, SubscriptionCount: 3}, room)
	nowhere, err := client.Channel("nowhere", sdk.ChannelParams{})
	require.NoError(t, err)
	require.Equal(t, &sdk.Channel{Name: "nowhere"}, nowhere)

	members, err := client.GetChannelUsers("presence-room")
	require.NoError(t, err)
	require.ElementsMatch(t, []sdk.User{{ID: "ann"}, {ID: "bob"}}, members.List)
	nobody, err := client.GetChannelUsers("presence-empty")
	require.NoError(t, err)
	require.Empty(t, nobody.List)
}

func TestErrorsTellWhatIsWrong(t *testing.T) {
	f := start(t)
	client, wrong, unknown, other := f.sdk(), f.sdk(), f.sdk(), f.sdk()
	wrong.Secret, other.Key, unknown.AppID = "wrong", "other", "8"
	large := f.sdk()
	large.OverrideMaxMessagePayloadKB = 20
	users := "user_count"
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"wrong secret":   {wrong.Trigger("news", "x", 1), "401 - .*auth_signature"},
		"wrong key":      {other.Trigger("news", "x", 1), "401 - .*auth_key"},
		"unknown app":    {unknown.Trigger("news", "x", 1), `404 - app "8" does not exist`},
		"reserved event": {client.Trigger("news", "pusher:x", 1), "400 - .*pusher:x"},
		"long channel":   {client.Trigger(strings.Repeat("n", 165), "x", 1), "400 - .*channel.*165.*164"},
		"large event":    {large.Trigger("news", "x", strings.Repeat("x", 10<<10+1)), "413 - .*data.*10240"},
		"count of users": {second(client.Channels(sdk.ChannelsParams{Info: &users})), "400 - .*user_count"},
		"users of news":  {second(client.GetChannelUsers("news")), "400 - .*presence"},
		"large batch":    {second(client.TriggerBatch(make11("news"))), "400 - .*batch.*11.*10"},
	} {
		t.Run(name, func(t *testing.T) { require.Regexp(t, c.want, c.err) })
	}
}

func second[T any](_ T, err error) error { return err }

func make11(channel string) []sdk.Event {
	batch := make([]sdk.Event, 11)
	for i := range batch {
		batch[i] = sdk.Event{Channel: channel, Name: "x", Data: i}
	}
	return batch
}

// get sends a question whose signature was made at a time.
func get(t *testing.T, f *fixture, at time.Time) (status int, body string) {
	query := fmt.Sprintf("auth_key=key&auth_timestamp=%d&auth_version=1.0", at.Unix())
	mac := hmac.New(sha256.New, []byte("secret"))
	_, _ = io.WriteString(mac, "GET\n/apps/7/channels\n"+query)
	res, err := f.http.Get(f.url.String() + "/apps/7/channels?" + query + "&auth_signature=" + hex.EncodeToString(mac.Sum(nil)))
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(text)
}

func TestTimestampWindow(t *testing.T) {
	f := start(t)
	for _, offset := range []time.Duration{-590 * time.Second, 0, 590 * time.Second} {
		status, body := get(t, f, time.Now().Add(offset))
		require.Equal(t, http.StatusOK, status, body)
		require.JSONEq(t, `{"channels":{}}`, body)
	}
	for _, offset := range []time.Duration{-700 * time.Second, 700 * time.Second} {
		status, body := get(t, f, time.Now().Add(offset))
		require.Equal(t, http.StatusUnauthorized, status)
		require.Contains(t, body, "auth_timestamp")
	}
}

func TestPublishLimit(t *testing.T) {
	f := start(t, "-publishes-per-second", "1")
	client := f.sdk()
	require.NoError(t, client.Trigger("news", "x", 1))
	require.NoError(t, client.Trigger("news", "x", 2))
	require.Regexp(t, "429 - .*limit", client.Trigger("news", "x", 3))
}

func TestClientFromURL(t *testing.T) {
	f := start(t)
	client, err := sdk.ClientFromURL("http://key:secret@" + f.url.Host + "/apps/7")
	require.NoError(t, err)
	client.HTTPClient = f.http
	require.NoError(t, client.Trigger("news", "x", 1))
}

func TestTLS(t *testing.T) {
	made := httptest.NewUnstartedServer(nil)
	made.StartTLS()
	pair := made.TLS.Certificates[0]
	made.Close()
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	require.NoError(t, err)
	folder := t.TempDir()
	certFile, keyFile := filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})
	require.NoError(t, os.WriteFile(certFile, certPEM, 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600))

	c := configured(t, "-tls-cert", certFile, "-tls-key", keyFile)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(certPEM))
	f := startWith(t, c, &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}})
	require.Equal(t, "https", f.url.Scheme)
	ws := f.dial()
	ws.subscribe("news", "")
	require.NoError(t, f.sdk().Trigger("news", "created", 1))
	ws.expect("created")
}

func authorizeMember(t *testing.T, client *sdk.Client, ws *wsClient, channel, id string) string {
	t.Helper()
	member := sdk.MemberData{UserID: id, UserInfo: map[string]string{"name": id}}
	answer, err := client.AuthorizePresenceChannel(authParams(ws, channel), member)
	require.NoError(t, err)
	require.True(t, json.Valid(answer))
	return string(answer)
}
