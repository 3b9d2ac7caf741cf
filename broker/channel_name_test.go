package broker_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
)

func TestKindComesFromThePrefixWithItsDash(t *testing.T) {
	for name, want := range map[string]string{
		"room": "public", "privateroom": "public", "x-private-y": "public", "private": "public",
		"private-": "private", "private-room": "private",
		"private-encrypted-room": "private-encrypted", "private-encryptedroom": "private",
		"presence-room": "presence", "presenceroom": "public",
		"cache-room": "public-cache", "cacheroom": "public", "private-cache-room": "private-cache",
		"presence-cache-room": "presence-cache", "private-encrypted-cache-room": "private-encrypted-cache",
		"#server-to-user-7": "server-to-user", "server-to-user-7": "public", "": "public",
	} {
		assert.Equal(t, want, broker.KindOf(name).String(), name)
	}
}

func TestKindsDecideWhatTheirChannelsDo(t *testing.T) {
	for _, c := range []struct {
		name                string
		auth, events, cache bool
	}{
		{"room", false, false, false},
		{"private-room", true, true, false},
		{"private-encrypted-room", true, false, false},
		{"presence-room", true, true, false},
		{"cache-room", false, false, true},
		{"private-cache-room", true, true, true},
		{"presence-cache-room", true, true, true},
		{"private-encrypted-cache-room", true, false, true},
		{"#server-to-user-1", false, false, false},
	} {
		kind := broker.KindOf(c.name)
		assert.Equal(t, c.auth, kind.NeedsAuthorization(), c.name)
		assert.Equal(t, c.events, kind.ClientEvents(), c.name)
		assert.Equal(t, c.cache, kind.Cache(), c.name)
	}
}

func TestNamesAreChecked(t *testing.T) {
	long := strings.Repeat("a", 164)
	for _, name := range []string{"a", long, "A-z_0=9@,.;", "#server-to-user-ann", "#server-to-user-ünï/42"} {
		assert.NoError(t, broker.CheckChannelName(name), name)
	}
	for _, name := range []string{"", long + "a", "a b", "a/b", "a:b", "#room", "#server-to-user-", "ä", "a\x00"} {
		err := broker.CheckChannelName(name)
		require.ErrorIs(t, err, broker.ErrInvalid, name)
		var field *broker.FieldError
		require.True(t, errors.As(err, &field))
	}
	err := broker.CheckChannelName(long + "a")
	assert.EqualError(t, err, "channel is too long: 165, the limit is 164")

	assert.NoError(t, broker.CheckEventName(strings.Repeat("ü", 200)))
	assert.EqualError(t, broker.CheckEventName(strings.Repeat("ü", 201)), "name is too long: 201, the limit is 200")
	for _, name := range []string{"", "pusher:x", "pusher_internal:x", "\xff"} {
		assert.ErrorIs(t, broker.CheckEventName(name), broker.ErrInvalid, name)
	}
	assert.NoError(t, broker.CheckEventName("pusher-x"))
	assert.NoError(t, broker.CheckUserID(strings.Repeat("ü", 128)))
	assert.ErrorIs(t, broker.CheckUserID(strings.Repeat("u", 129)), broker.ErrInvalid)
	for _, c := range []string{"\x00", "\n", "\x1f", "\x7f"} {
		assert.EqualError(t, broker.CheckEventName("a"+c), fmt.Sprintf("name %q has a control character", "a"+c))
		assert.EqualError(t, broker.CheckUserID(c+"a"), fmt.Sprintf("user_id %q has a control character", c+"a"))
		assert.ErrorIs(t, broker.CheckChannelName("#server-to-user-"+c), broker.ErrInvalid)
	}
	for _, name := range []string{`App\Events\Shipped`, "très 世界 ~", "\u00a0"} {
		assert.NoError(t, broker.CheckEventName(name))
		assert.NoError(t, broker.CheckUserID(name))
	}
}

func FuzzChannelName(f *testing.F) {
	for _, seed := range []string{"room", "presence-room", "#server-to-user-1", "private-encrypted-cache-x", "a b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		err := broker.CheckChannelName(name)
		kind := broker.KindOf(name)
		_ = kind.String()
		if err != nil {
			require.ErrorIs(t, err, broker.ErrInvalid)
			return
		}
		if kind == broker.ServerToUser {
			return
		}
		require.LessOrEqual(t, len(name), broker.MaxChannelName)
		require.Empty(t, strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-=@,.;"))
	})
}
