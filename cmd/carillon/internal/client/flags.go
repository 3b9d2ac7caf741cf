package client

import (
	"fmt"
	"slices"
	"strings"
)

// Flags are the flags that say which app of which server a command talks to.
type Flags struct {
	address         address
	id, key, secret string
	masterKey       string
	insecure        bool
	config, appInIt string
}

// Stored is what a configuration file says of an app. Empty fields say nothing.
type Stored struct {
	// URL is where the server that the file configures is reached.
	URL             string
	ID, Key, Secret string
	// MasterKey is in base64.
	MasterKey string
	// Insecure accepts any certificate at URL.
	Insecure bool
}

// Register adds the flags to a set.
func (f *Flags) Register(set *FlagSet) {
	set.StringVar(&f.address.url, "url", "", "where the server is, a `URL` such as http://127.0.0.1:6001/prefix; it replaces -host, -port and -scheme")
	set.StringVar(&f.address.host, "host", "", "`name` or address of the server (also PUSHER_HOST); 127.0.0.1 unless it is said")
	set.StringVar(&f.address.port, "port", "", "`port` of the server (also PUSHER_PORT)")
	set.StringVar(&f.address.scheme, "scheme", "", "http or https (also PUSHER_SCHEME); https unless the server is on this machine")
	set.StringVar(&f.address.cluster, "cluster", "", "`name` of a cluster of the hosted service, in place of a host")
	set.StringVar(&f.id, "app-id", "", "the app's `ID` (also PUSHER_APP_ID)")
	set.StringVar(&f.key, "key", "", "the app's `key` (also PUSHER_APP_KEY)")
	set.StringVar(&f.secret, "secret", "", "the app's `secret` (also PUSHER_APP_SECRET, which other users of the machine do not see)")
	set.StringVar(&f.masterKey, "encryption-master-key", "", "`key` of encrypted channels, 32 bytes in base64 (also PUSHER_ENCRYPTION_MASTER_KEY_BASE64)")
	set.BoolVar(&f.insecure, "insecure", false, "accept any certificate (also PUSHER_VERIFY_PEER=false)")
	set.StringVar(&f.config, "config", "", "take server and app from this `file`, a configuration of the server")
	set.StringVar(&f.appInIt, "app", "", "`ID or key` of the app in that file; needed where it has several")
}

// App returns the app that the flags name. What no flag says is taken from the file that
// -config names, which stored reads, then from the environment.
func (f *Flags) App(env func(string) string, stored func(file, app string) (Stored, error)) (a App, err error) {
	where := f.address
	var s Stored
	if f.config != "" {
		if s, err = stored(f.config, f.appInIt); err != nil {
			return App{}, err
		}
	} else if f.appInIt != "" {
		return App{}, fmt.Errorf("-app %s needs -config: the app of a server is named by -key and -app-id", f.appInIt)
	}
	// Parts of an address that come from different places would make up one that nobody
	// meant.
	if where == (address{}) {
		if where.url = s.URL; s.URL == "" {
			where = address{host: env("PUSHER_HOST"), port: env("PUSHER_PORT"), scheme: env("PUSHER_SCHEME")}
		}
	}
	if a.API, a.Socket, err = where.resolve(); err != nil {
		return App{}, err
	}
	a.ID = first(f.id, s.ID, env("PUSHER_APP_ID"))
	a.Key = first(f.key, s.Key, env("PUSHER_APP_KEY"))
	a.Secret = first(f.secret, s.Secret, env("PUSHER_APP_SECRET"))
	if a.MasterKey, err = parseMasterKey(first(f.masterKey, s.MasterKey, env("PUSHER_ENCRYPTION_MASTER_KEY_BASE64"))); err != nil {
		return App{}, err
	}
	verify := strings.ToLower(strings.TrimSpace(env("PUSHER_VERIFY_PEER")))
	a.SkipVerify = f.insecure || (s.Insecure && where.url == s.URL) || slices.Contains([]string{"false", "0", "no", "off"}, verify)
	return a, nil
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
