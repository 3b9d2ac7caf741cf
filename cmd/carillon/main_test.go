package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// said runs the program with arguments and returns what it wrote and its exit code.
func said(t *testing.T, args ...string) (out, err string, code int) {
	t.Helper()
	var o, e strings.Builder
	code = execute(t.Context(), args, stdio{strings.NewReader(""), &o, &e})
	return o.String(), e.String(), code
}

func TestCommands(t *testing.T) {
	for _, c := range []struct {
		args     string
		code     int
		out, err string
	}{
		{"help", 0, `(?s)Commands.*  run +serve.*  publish .*  tail .*  bench .*  health .*  apps .*  version +say`, `^$`},
		{"version", 0, `^carillon \S+ go1\.\S+ \w+/\w+\n$`, `^$`},
		{"version more", 2, `^$`, `unexpected argument "more"`},
		{"serve", 2, `^$`, `there is no command "serve": carillon help lists them`},
		{"-help", 0, `-addr`, `^$`},
		{"run -help", 0, `-addr`, `^$`},
		{"-nonsense", 2, `^$`, `-nonsense`},
		{"run -nonsense", 2, `^$`, `-nonsense`},
		{"run more", 2, `^$`, `unexpected argument "more"`},
		{"-addr 127.0.0.1:99999", 2, `^$`, `-addr: "127.0.0.1:99999" has no port`},
		{"-addr 192.0.2.1:1", 1, `^$`, `listen on 192.0.2.1:1`},
	} {
		t.Run(c.args, func(t *testing.T) {
			out, err, code := said(t, strings.Fields(c.args)...)
			require.Equal(t, c.code, code, err)
			require.Regexp(t, c.out, out)
			require.Regexp(t, c.err, err)
		})
	}
}
