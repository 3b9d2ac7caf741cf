package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheck(t *testing.T) {
	file := filepath.Join(t.TempDir(), "carillon.toml")
	write := func(text string) { require.NoError(t, os.WriteFile(file, []byte(text), 0o600)) }

	write("prefix = 1\nlisten = \"nowhere\"\n[[apps]]\nid = \"1\"\nkeys = \"x\"\n")
	out, err, code := said(t, "check", file)
	require.Equal(t, 1, code)
	require.Empty(t, out)
	require.Equal(t, file+": line 1: prefix: has to be text, in quotes, and is a whole number\n"+
		file+": line 2: listen: \"nowhere\" is not host:port\n"+
		file+": line 3: apps: key is missing\n"+
		file+": line 3: apps: secret is missing\n"+
		file+": line 5: apps.keys: there is no such setting: did you mean key?\n"+
		"carillon: the file has mistakes: 5\n", err)

	write("[[apps]]\nid = \"app-id\"\nkey = \"app-key\"\nsecret = \"0123456789abcdef0123\"\norigins = []\n")
	out, err, code = said(t, "check", file)
	require.Equal(t, 0, code, err)
	require.Contains(t, out, file+": warning: line 2: apps.id: \"app-id\" is not a number: it is served, but")
	require.Contains(t, out, "no mistakes, 1 apps, 1 warnings\n")

	_, err, code = said(t, "check", file+".none")
	require.Equal(t, 1, code)
	require.Contains(t, err, "no such file")
	_, _, code = said(t, "check")
	require.Equal(t, 2, code)
	_, _, code = said(t, "check", "-x")
	require.Equal(t, 2, code)
	_, _, code = said(t, "check", "-help")
	require.Equal(t, 0, code)
}

// The example has no mistake, and nothing that is warned of but that everybody can read it.
func TestExampleFile(t *testing.T) {
	text, err := os.ReadFile("carillon.example.toml")
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "carillon.toml")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	out, said, code := said(t, "check", file)
	require.Equal(t, 0, code, said)
	require.Equal(t, file+": no mistakes, 2 apps, 0 warnings\n", out)
}
