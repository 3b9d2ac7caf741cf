package server

import "net"

// notify tells systemd of the state of the service, where it asked for that: see
// sd_notify(3).
func notify(env func(string) string, state string) {
	name := env("NOTIFY_SOCKET")
	if name == "" {
		return
	}
	// The first character of an abstract socket's name is an @, which Go takes as it is.
	c, err := net.Dial("unixgram", name)
	if err != nil {
		return
	}
	_, _ = c.Write([]byte(state))
	_ = c.Close()
}
