package broker

import (
	"strings"
	"unicode/utf8"
)

// Kind is what the prefix of a channel's name makes of it
// (https://pusher.com/docs/channels/using_channels/channels/).
type Kind uint8

// The kinds of channels. Each but ServerToUser also exists as a cache channel:
// see Kind.Cache.
const (
	// Public channels have no prefix: anybody may subscribe.
	Public Kind = iota
	// Private channels ("private-") need an authorized subscription and
	// relay client events.
	Private
	// Encrypted channels ("private-encrypted-") need an authorized subscription;
	// their events are sealed by the publisher and cannot come from clients.
	Encrypted
	// Presence channels ("presence-") need an authorized subscription that
	// names a member, and relay client events.
	Presence
	// ServerToUser channels ("#server-to-user-") belong to one signed-in user.
	ServerToUser

	cache Kind = 0x80
)

const serverToUserPrefix = "#server-to-user-"

// kindPrefixes lists longer prefixes before those they start with.
var kindPrefixes = [...]struct {
	prefix string
	kind   Kind
}{
	{"private-encrypted-cache-", Encrypted | cache},
	{"private-encrypted-", Encrypted},
	{"private-cache-", Private | cache},
	{"private-", Private},
	{"presence-cache-", Presence | cache},
	{"presence-", Presence},
	{"cache-", Public | cache},
	{serverToUserPrefix, ServerToUser},
}

// KindOf returns the kind of the channel with this name. The name is not
// checked.
func KindOf(name string) Kind {
	if name == "" || (name[0] != 'p' && name[0] != 'c' && name[0] != '#') {
		return Public
	}
	for _, p := range kindPrefixes {
		if strings.HasPrefix(name, p.prefix) {
			return p.kind
		}
	}
	return Public
}

// Base is the kind without its being a cache channel.
func (k Kind) Base() Kind { return k &^ cache }

// Cache reports whether new subscribers get the channel's last event.
func (k Kind) Cache() bool { return k&cache != 0 }

// NeedsAuthorization reports whether a subscription has to be authorized.
func (k Kind) NeedsAuthorization() bool { return k.Base() != Public && k.Base() != ServerToUser }

// ClientEvents reports whether subscribers may send events to each other.
func (k Kind) ClientEvents() bool { return k.Base() == Private || k.Base() == Presence }

// String returns the kind's name, such as "presence" or "private-cache".
func (k Kind) String() string {
	name := [...]string{"public", "private", "private-encrypted", "presence", "server-to-user"}[k.Base()]
	if k.Cache() {
		name += "-cache"
	}
	return name
}

// Limits of names. They are the protocol's own.
const (
	// MaxChannelName is the most characters a channel's name may have.
	MaxChannelName = 164
	// MaxEventName is the most characters an event's name may have.
	MaxEventName = 200
	// MaxEventID is the most characters an event's ID may have.
	MaxEventID = 128
	// MaxUserID is the most characters a user ID may have.
	MaxUserID = 128
)

// CheckChannelName returns a *FieldError unless name is a valid channel name:
// 1 to 164 of the characters A-Z a-z 0-9 _ - = @ , . ; or "#server-to-user-"
// and a user ID.
func CheckChannelName(name string) error {
	if id, ok := strings.CutPrefix(name, serverToUserPrefix); ok {
		return CheckUserID(id)
	}
	if name == "" {
		return &FieldError{Field: "channel", Problem: "is empty"}
	}
	if len(name) > MaxChannelName {
		return &FieldError{Field: "channel", Problem: "is too long", Limit: MaxChannelName, Got: len(name)}
	}
	for i := range len(name) {
		if !nameByte[name[i]] {
			return &FieldError{Field: "channel", Value: name,
				Problem: "has a character that is not one of A-Z a-z 0-9 _ - = @ , . ;"}
		}
	}
	return nil
}

// nameByte holds the bytes that a channel's name may consist of.
var nameByte = func() (set [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-=@,.;") {
		set[c] = true
	}
	return set
}()

// CheckEventName returns a *FieldError unless an event of this name may be
// published: 1 to 200 characters, no control character among them, and not one
// of the protocol's own names ("pusher:…", "pusher_internal:…").
func CheckEventName(name string) error {
	switch {
	case name == "":
		return &FieldError{Field: "name", Problem: "is empty"}
	case len(name) > MaxEventName && utf8.RuneCountInString(name) > MaxEventName:
		return &FieldError{Field: "name", Problem: "is too long", Limit: MaxEventName, Got: utf8.RuneCountInString(name)}
	case strings.HasPrefix(name, "pusher:") || strings.HasPrefix(name, "pusher_internal:"):
		return &FieldError{Field: "name", Value: name, Problem: "starts with a prefix that the protocol reserves"}
	}
	return checkText("name", name)
}

// CheckUserID returns a *FieldError unless id may name a user: 1 to 128
// characters, no control character among them.
func CheckUserID(id string) error {
	switch {
	case id == "":
		return &FieldError{Field: "user_id", Problem: "is empty"}
	case len(id) > MaxUserID && utf8.RuneCountInString(id) > MaxUserID:
		return &FieldError{Field: "user_id", Problem: "is too long", Limit: MaxUserID, Got: utf8.RuneCountInString(id)}
	}
	return checkText("user_id", id)
}

// checkText returns a *FieldError unless a field is valid UTF-8 without control
// characters of ASCII: the protocol says nothing of them, but databases, headers and
// logs trip over them.
func checkText(field, s string) error {
	ascii, control := true, false
	for i := range len(s) {
		control = control || s[i] < ' ' || s[i] == 0x7f
		ascii = ascii && s[i] < utf8.RuneSelf
	}
	switch {
	case !ascii && !utf8.ValidString(s):
		return &FieldError{Field: field, Problem: "is not valid UTF-8"}
	case control:
		return &FieldError{Field: field, Value: s, Problem: "has a control character"}
	}
	return nil
}

// checkEventID returns a *FieldError unless id may be that of an event: 1 to 128
// characters, no control character among them.
func checkEventID(id string) error {
	err := CheckUserID(id)
	if field, ok := err.(*FieldError); ok {
		field.Field = "id"
	}
	return err
}
