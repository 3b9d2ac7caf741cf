package publicnet

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestIsPublic(t *testing.T) {
	for _, ip := range []string{"1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1"} {
		assert.True(t, IsPublic(netip.MustParseAddr(ip)), ip)
	}
	for _, ip := range []string{
		"127.0.0.1", "127.9.9.9", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "0.1.2.3", "100.64.1.1", "192.0.0.8",
		"192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.88.99.1",
		"::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "fe80::1", "fc00::1", "fd12::1", "ff02::1", "64:ff9b::7f00:1", "2001:db8::1", "2001::1", "2002:7f00:1::", "3fff::1",
	} {
		assert.False(t, IsPublic(netip.MustParseAddr(ip)), ip)
	}
}

func TestCheckURL(t *testing.T) {
	for _, good := range []string{"https://push.example.com/x?y=z", "https://push.example.com:443/x", "https://1.1.1.1/"} {
		assert.NoError(t, CheckURL(good), good)
	}
	for _, bad := range []string{
		"", "x", "http://push.example.com", "ftp://push.example.com", "https://push.example.com:8443/", "https://a:b@push.example.com/", "https:///x",
		"https://127.0.0.1/", "https://[::1]/", "https://10.0.0.1/", "https://169.254.169.254/latest", "https://x.example/" + strings.Repeat("x", maxURL), "https://%zz/",
	} {
		assert.Error(t, CheckURL(bad), bad)
	}
}

// TestClientStaysOutside dials names and addresses that lead inside.
func TestClientStaysOutside(t *testing.T) {
	asked := false
	inside := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer inside.Close()
	client := Client(5 * time.Second)
	defer client.CloseIdleConnections()
	port := inside.URL[strings.LastIndex(inside.URL, ":"):]
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]"} {
		_, err := client.Get("https://" + host + port) //nolint:bodyclose // there is none
		require.Error(t, err, host)
	}
	assert.False(t, asked)
}
