package main

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/carillon-rt/carillon/cmd/carillon/internal/servertest"
)

func TestClientCommands(t *testing.T) {
	url, _ := servertest.Ours(t)
	app := []string{"-url", url, "-app-id", servertest.ID, "-key", servertest.Key, "-secret", servertest.Secret}
	for _, c := range []struct {
		args     []string
		code     int
		out, err string
	}{
		{append([]string{"publish", "a", "-event", "e", "-data", "1"}, app...), 0, `^{}\n$`, `^$`},
		{append([]string{"publish", "a", "-event", "e", "-data", "1"}, append(app, "-secret", "x")...), 1, `^$`, `^carillon: the server answered 401 `},
		{[]string{"publish", "a"}, 2, `^$`, `^carillon: the app's id is missing: give -app-id`},
		{[]string{"publish", "-help"}, 0, `^carillon publish \[flags\] CHANNEL…\n`, `^$`},
		{append([]string{"tail", "private-a"}, append(app, "-secret", "x")...), 1, `^$`, `carillon: subscription to private-a: .*invalid signature`},
		{append([]string{"tail"}, app...), 2, `^$`, `^carillon: name the channels`},
		{[]string{"apps", "new"}, 0, `\nsecret = "[0-9a-f]{40}"\n`, `^$`},
		{[]string{"apps"}, 2, `^$`, `apps new makes`},
		{[]string{"apps", "new", "-x"}, 2, `^$`, `-x`},
	} {
		out, err, code := said(t, c.args...)
		assert.Equal(t, c.code, code, c.args)
		assert.Regexp(t, c.out, out)
		assert.Regexp(t, c.err, err)
	}
}
