package pusher_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/pusher"
)

// javaApp is a program with the Java client of version 2.4, as far as frames go: its
// authorizer is the program's own and may send what it likes, and its listeners are given
// each event but the success and the count, with all of its fields (PusherEvent.toJson).
type javaApp struct {
	t       *testing.T
	server  *httptest.Server
	channel string

	conn     *websocket.Conn
	socketID string
	sockets  []string

	position string // of the last event that had one
	told     []string
	got      []string
}

// connect connects, and subscribes to the channel as the client does by itself when it
// connects again.
func (j *javaApp) connect() {
	j.t.Helper()
	if j.conn != nil {
		_ = j.conn.CloseNow()
		j.sockets = append([]string{j.socketID}, j.sockets...)
	}
	var err error
	j.conn, _, err = websocket.Dial(j.t.Context(), j.server.URL+"/app/key?client=java-client&protocol=5&version=2.4.2", nil)
	require.NoError(j.t, err)
	var hello struct{ Data string }
	require.NoError(j.t, json.Unmarshal(j.receive(), &hello))
	var data struct {
		SocketID string `json:"socket_id"`
	}
	require.NoError(j.t, json.Unmarshal([]byte(hello.Data), &data))
	j.socketID = data.SocketID
	answer := j.authorize()
	message, err := json.Marshal(map[string]any{"event": "pusher:subscribe", "data": map[string]string{
		"channel": j.channel, "auth": answer["auth"], "channel_data": answer["channel_data"]}})
	require.NoError(j.t, err)
	require.NoError(j.t, j.conn.Write(j.t.Context(), websocket.MessageText, message))
	assert.Contains(j.t, string(j.receive()), `"event":"pusher_internal:subscription_succeeded"`)
}

// authorize asks the backend, and says where the program left off.
func (j *javaApp) authorize() (answer map[string]string) {
	resp, err := http.PostForm(j.server.URL+"/pusher/auth", url.Values{"socket_id": {j.socketID}, "channel_name": {j.channel},
		"resume": {j.position}, "resume_sockets": {strings.Join(j.sockets, ",")}})
	require.NoError(j.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(j.t, err)
	require.NoError(j.t, json.Unmarshal(body, &answer), "%s", body)
	return answer
}

func (j *javaApp) receive() []byte {
	j.t.Helper()
	_, message, err := j.conn.Read(j.t.Context())
	require.NoError(j.t, err)
	return message
}

// read reads frames as a listener that is bound to all events of the channel.
func (j *javaApp) read(frames int) {
	j.t.Helper()
	for range frames {
		var f struct{ Event, Data, Pos string }
		require.NoError(j.t, json.Unmarshal(j.receive(), &f))
		if f.Pos != "" {
			j.position = f.Pos
		}
		if strings.HasPrefix(f.Event, "pusher:") {
			j.told = append(j.told, strings.TrimPrefix(f.Event, "pusher:")+f.Data)
		} else {
			j.got = append(j.got, f.Data)
		}
	}
}

// Clients for mobile devices cannot be wrapped: they go on from a position that their
// authorizer puts into channel_data.
func TestTheJavaClientGoesOnFromAPosition(t *testing.T) {
	for _, channel := range []string{"private-room", "presence-room", "private-encrypted-room"} {
		t.Run(channel, func(t *testing.T) {
			b, err := broker.New(broker.WithDrainWindow(0), broker.WithChannelRules(broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: 5}}))
			require.NoError(t, err)
			app := pusher.App{ID: "1", Key: "key", Secret: "secret", EncryptionMasterKey: []byte("0123456789abcdef0123456789abcdef")}
			apps, err := pusher.NewApps(app)
			require.NoError(t, err)
			mux := http.NewServeMux()
			handler := newHandler(t, b, apps)
			mux.Handle("/app/", handler)
			mux.Handle("/pusher/auth", pusher.NewAuthHandler(&app, func(*http.Request, pusher.AuthRequest) (*broker.Member, error) {
				return &broker.Member{UserID: "ann"}, nil
			}))
			server := httptest.NewServer(mux)
			defer server.Close()
			defer func() { require.NoError(t, b.Shutdown(t.Context())) }()
			n := 0
			publish := func(opts ...broker.PublishOption) {
				n++
				_, err := b.App("1").Publish(t.Context(), channel, "message", fmt.Append(nil, n), opts...)
				require.NoError(t, err)
			}

			j := &javaApp{t: t, server: server, channel: channel}
			j.connect()
			j.read(1)
			assert.Equal(t, []string{"position{}"}, j.told, "where it begins")
			require.NotEmpty(t, j.position)
			publish()
			publish(broker.Exclude(j.socketID))
			j.read(2)
			assert.Equal(t, []string{"position{}", "position{}"}, j.told)

			j.connect()
			j.read(1)
			publish()
			j.read(1)
			publish(broker.Exclude(j.socketID))
			j.read(1)
			publish()
			j.read(1)
			require.NoError(t, j.conn.CloseNow())
			publish()
			publish(broker.Exclude(j.socketID)) // by a request that was under way
			publish()
			j.connect()
			j.read(4)
			assert.Equal(t, []string{"position{}", "position{}", `resumed{"missed":0}`, "position{}", `resumed{"missed":2}`, "position{}"}, j.told)
			assert.Len(t, j.got, 5)
			if broker.KindOf(channel).Base() != broker.Encrypted {
				assert.Equal(t, []string{"1", "3", "5", "6", "8"}, j.got)
			}

			// More than is kept.
			for range 6 {
				publish()
			}
			j.position = strings.Split(j.position, ":")[0] + ":1"
			j.connect()
			for j.told[len(j.told)-1] != `gap{"missed":0}` {
				j.read(1)
			}
			publish()
			j.read(1)
			assert.Len(t, j.got, 6)
			require.NoError(t, j.conn.CloseNow())
		})
	}
}

// What an authorizer has not signed counts for nothing, and pages that do not ask are told
// nothing of positions.
func TestPositionsInChannelDataAreSigned(t *testing.T) {
	kit := newKit(t)
	c := kit.Connect(t)
	data := `{"user_id":"ann","resume":{"v":1}}`
	c.Write(fmt.Sprintf(`{"event":"pusher:subscribe","data":{"channel":"presence-room","auth":"test-key:00","channel_data":%q}}`, data))
	expectSubscriptionError(t, c, "presence-room", "AuthError", 401, "invalid signature")
	expectError(t, c, 0, "Invalid signature")
	c.Write(fmt.Sprintf(`{"event":"pusher:subscribe","data":{"channel":"presence-room","auth":%q,"channel_data":%q}}`, c.Auth("presence-room", data), data))
	assert.Contains(t, c.Next().Raw, `"resume":{"status":"fresh"`)
	c.Expect("pusher:position", "presence-room")
	for _, data := range []string{`{"user_id":"ann","resume":{"v":2}}`, `{"user_id":"ann","resume":"E:1"}`, `{"user_id":"ann"}`} {
		c := kit.Connect(t)
		c.Write(fmt.Sprintf(`{"event":"pusher:subscribe","data":{"channel":"presence-room","auth":%q,"channel_data":%q}}`, c.Auth("presence-room", data), data))
		assert.NotContains(t, c.Next().Raw, "resume")
		c.ExpectNothing()
	}
	for _, data := range []string{"not JSON", `"text"`, `[1]`} { // which private channels may have
		c := kit.Connect(t)
		c.Write(fmt.Sprintf(`{"event":"pusher:subscribe","data":{"channel":"private-room","auth":%q,"channel_data":%q}}`, pusher.UncheckedChannelAuth(kit.Config, c.SocketID(), "private-room", data), data))
		assert.NotContains(t, c.Expect("pusher_internal:subscription_succeeded", "private-room").Raw, "resume")
	}

	// A page that has the add-on says it itself.
	c = kit.Connect(t)
	c.Write(fmt.Sprintf(`{"event":"pusher:subscribe","data":{"channel":"presence-room","auth":%q,"channel_data":%q,"resume":{"v":1}}}`, c.Auth("presence-room", data), data))
	c.Expect("pusher_internal:subscription_succeeded", "presence-room")
	c.ExpectNothing()
}
