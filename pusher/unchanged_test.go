package pusher_test

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/pusher"
)

// recording is what some clients of one kit are sent, in the order it is read.
type recording struct {
	t       *testing.T
	kit     *brokertest.Kit
	names   map[*brokertest.Client]string
	replace []string // socket IDs and what stands for them
	got     bytes.Buffer
}

// connect connects a client, whose socket ID is recorded as its name.
func (r *recording) connect(name string) *brokertest.Client {
	c := r.kit.Connect(r.t)
	r.names[c] = name
	r.replace = append(r.replace, c.SocketID(), name)
	return c
}

var sealed = regexp.MustCompile(`(nonce|ciphertext)\\":\\"[^"\\]*`)

// read records the next frames of a client.
func (r *recording) read(c *brokertest.Client, frames int) {
	r.t.Helper()
	for range frames {
		raw := strings.NewReplacer(r.replace...).Replace(c.Next().Raw)
		fmt.Fprintf(&r.got, "%s> %s\n", r.names[c], sealed.ReplaceAllString(raw, `$1\":\"…`))
	}
	c.ExpectNothing()
}

func (r *recording) publish(channel, data string, opts ...broker.PublishOption) {
	_, err := r.kit.App.Publish(r.t.Context(), channel, "message", []byte(data), opts...)
	require.NoError(r.t, err)
}

func (r *recording) subscribe(c *brokertest.Client, channel, channelData string) {
	auth := ""
	if broker.KindOf(channel).NeedsAuthorization() {
		auth = c.Auth(channel, channelData)
	}
	if channelData != "" {
		channelData = fmt.Sprintf(`,"channel_data":%q`, channelData)
	}
	c.Write(fmt.Sprintf(`{"event":"pusher:subscribe","data":{"channel":%q,"auth":%q%s}}`, channel, auth, channelData))
}

// TestClientsThatAskForNothingSeeAnUnchangedWire holds, byte for byte, what clients
// were sent on channels that keep history before any client could ask for positions.
func TestClientsThatAskForNothingSeeAnUnchangedWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recording{t: t, names: make(map[*brokertest.Client]string), kit: brokertest.New(t, broker.WithChannelRules(
			broker.ChannelRule{Pattern: "*rewind*", History: broker.Retention{Events: 10}, Rewind: 2},
			broker.ChannelRule{Pattern: "plain"},
			broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: 10}},
		))}
		r.kit.Config.SubscriptionCounts = true
		ann, ben := r.connect("ann"), r.connect("ben")

		// What is kept, what is not, exclusion, and a second subscription.
		for _, channel := range []string{"plain", "room", "private-room", "private-encrypted-room", "rewind"} {
			r.publish(channel, `{"before":1}`)
			r.publish(channel, `{"before":2}`)
			r.subscribe(ann, channel, "")
			past := 0
			if channel == "rewind" {
				past = 2
			}
			r.read(ann, 2+past)
			r.publish(channel, `{"to":"all"}`, broker.AsUser("u"))
			r.publish(channel, `{"to":"nobody"}`, broker.Exclude(ann.SocketID()))
			r.publish(channel, "text")
			r.read(ann, 2)
			r.subscribe(ann, channel, "")
			r.read(ann, 1)
		}

		// Cache channels, with an event, without, and with one that is too old.
		for _, channel := range []string{"cache-room", "private-cache-room", "cache-rewind"} {
			r.subscribe(ann, channel, "")
			r.read(ann, 3)
			r.publish(channel, "cached")
			r.read(ann, 1)
			r.subscribe(ben, channel, "")
			r.read(ben, 3)
			r.read(ann, 1)
			ben.Unsubscribe(channel)
			r.read(ann, 1)
			time.Sleep(broker.DefaultCacheTTL)
			r.subscribe(ben, channel, "")
			r.read(ben, 3)
			r.read(ann, 1)
		}

		// Members, client events, and leaving.
		r.subscribe(ann, "presence-room", `{"user_id":"1","user_info":{"name":"Ann"}}`)
		r.read(ann, 1)
		r.subscribe(ben, "presence-room", `{"user_id":"2"}`)
		r.read(ben, 1)
		r.read(ann, 1)
		ben.Trigger("presence-room", "client-typing", map[string]bool{"on": true})
		r.read(ann, 1)
		r.read(ben, 0)
		ben.Unsubscribe("presence-room")
		r.read(ann, 1)
		r.subscribe(ben, "private-room", "")
		r.read(ben, 2)
		r.read(ann, 1)
		ben.Trigger("private-room", "client-typing", "text")
		r.read(ann, 1)
		ben.Unsubscribe("private-room")
		r.read(ann, 1)
		r.subscribe(ben, "private-room", "")
		r.read(ben, 2)
		r.read(ann, 1)

		// Users.
		ann.SignIn("1", "2")
		r.read(ann, 1)
		ben.SignIn("2")
		r.read(ann, 1)
		r.subscribe(ann, "#server-to-user-1", "")
		r.read(ann, 2)
		r.publish("#server-to-user-1", "for ann")
		r.read(ann, 1)

		// What is refused, unknown or malformed.
		for _, message := range []string{
			`{"event":"pusher:subscribe","data":{"channel":"private-x","auth":"test-key:00"}}`,
			`{"event":"pusher:subscribe","data":{"channel":"#server-to-user-2"}}`,
			`{"event":"pusher:subscribe","data":{"channel":"bad name"}}`,
			`{"event":"pusher:subscribe","data":{"channel":7}}`,
			`{"event":"pusher:unknown","data":{}}`,
		} {
			ann.Write(message)
			frames := 1
			if strings.Contains(message, "test-key") {
				frames = 2
			}
			r.read(ann, frames)
		}

		const file = "testdata/unchanged.golden"
		if *pusher.Update {
			require.NoError(t, os.WriteFile(file, r.got.Bytes(), 0o644))
		}
		want, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Equal(t, string(want), r.got.String())
	})
}
