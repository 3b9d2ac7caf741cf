package pusher

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/internal/alloctest"
)

func TestNewApps(t *testing.T) {
	apps, err := NewApps(App{ID: "1", Key: "a", Secret: "s"}, App{ID: "2", Key: "b", Secret: "s"})
	require.NoError(t, err)
	app, err := apps.AppByKey(t.Context(), "b")
	require.NoError(t, err)
	assert.Equal(t, "2", app.ID)
	app, err = apps.AppByID(t.Context(), "1")
	require.NoError(t, err)
	assert.Equal(t, "a", app.Key)
	_, err = apps.AppByKey(t.Context(), "1")
	require.ErrorIs(t, err, ErrUnknownApp)
	_, err = apps.AppByID(t.Context(), "")
	require.ErrorIs(t, err, ErrUnknownApp)

	// Everything that an app may have, as far as it may go.
	full := App{
		ID: "my-app_1", Key: "ключ é~!$&'()*+,;=@", Secret: "\x00 any/?#:%", MaxConnections: 1, AuthorizationTimeout: time.Second,
		AllowedOrigins: []string{"*", "https://*.example.com:*", "null", "file://", "capacitor://localhost", "http://[::1]:8080"}, Hosts: []string{"a.example", "localhost:6001", "[::1]:6001"}, EncryptionMasterKey: make([]byte, 32),
		Webhooks: []Webhook{{URL: "http://10.0.0.1:8080/x?y=z", Events: WebhookEvents(), Headers: map[string]string{"X-az-09": "a\tb"}}},
		Limits:   DefaultLimits,
	}
	require.NoError(t, full.Check())
}

func TestInvalidApps(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*App)
		field  string
	}{
		"no ID":             {func(a *App) { a.ID = "" }, "apps[1].ID"},
		"ID with slash":     {func(a *App) { a.ID = "a/b" }, "apps[1].ID"},
		"no key":            {func(a *App) { a.Key = "" }, "apps[1].Key"},
		"key with colon":    {func(a *App) { a.Key = "a:b" }, "apps[1].Key"},
		"ID with percent":   {func(a *App) { a.ID = "a%2Fb" }, "apps[1].ID"},
		"ID with control":   {func(a *App) { a.ID = "a\n" }, "apps[1].ID"},
		"key with percent":  {func(a *App) { a.Key = "a%20b" }, "apps[1].Key"},
		"key with control":  {func(a *App) { a.Key = "a\r\nb" }, "apps[1].Key"},
		"key of bad UTF-8":  {func(a *App) { a.Key = "a\xff" }, "apps[1].Key"},
		"no secret":         {func(a *App) { a.Secret = "" }, "apps[1].Secret"},
		"empty secret":      {func(a *App) { a.OtherSecrets = []string{"old", ""} }, "apps[1].OtherSecrets[1]"},
		"secret twice":      {func(a *App) { a.OtherSecrets = []string{a.Secret} }, "apps[1].OtherSecrets[0]"},
		"same ID":           {func(a *App) { a.ID = "1" }, "apps[1]"},
		"same key":          {func(a *App) { a.Key = "first" }, "apps[1]"},
		"short master key":  {func(a *App) { a.EncryptionMasterKey = []byte("short") }, "apps[1].EncryptionMasterKey"},
		"connections":       {func(a *App) { a.MaxConnections = -1 }, "apps[1].MaxConnections"},
		"timeout":           {func(a *App) { a.AuthorizationTimeout = -time.Second }, "apps[1].AuthorizationTimeout"},
		"lifetime":          {func(a *App) { a.AuthorizationLifetime = 9 * time.Second }, "apps[1].AuthorizationLifetime"},
		"origin":            {func(a *App) { a.AllowedOrigins = []string{"example.com"} }, "apps[1].AllowedOrigins[0]"},
		"origin and path":   {func(a *App) { a.AllowedOrigins = []string{"https://example.com/chat"} }, "apps[1].AllowedOrigins[0]"},
		"origin of a user":  {func(a *App) { a.AllowedOrigins = []string{"https://a@example.com"} }, "apps[1].AllowedOrigins[0]"},
		"port of an origin": {func(a *App) { a.AllowedOrigins = []string{"https://example.com:https"} }, "apps[1].AllowedOrigins[0]"},
		"long origin":       {func(a *App) { a.AllowedOrigins = []string{"https://" + strings.Repeat("*", 600)} }, "apps[1].AllowedOrigins[0]"},
		"host":              {func(a *App) { a.Hosts = []string{"a.example", "https://b.example"} }, "apps[1].Hosts[1]"},
		"host pattern":      {func(a *App) { a.Hosts = []string{"*.example"} }, "apps[1].Hosts[0]"},
		"long key":          {func(a *App) { a.Key = strings.Repeat("k", 201) }, "apps[1].Key"},
		"event bytes":       {func(a *App) { a.Limits.EventBytes = 1<<20 + 1 }, "apps[1].Limits.EventBytes"},
		"event name":        {func(a *App) { a.Limits.EventNameChars = 201 }, "apps[1].Limits.EventNameChars"},
		"limit":             {func(a *App) { a.Limits.EventBytes = -1 }, "apps[1].Limits.EventBytes"},
		"webhook URL":       {func(a *App) { a.Webhooks = []Webhook{{URL: "ftp://x"}} }, "apps[1].Webhooks[0].URL"},
		"webhook host":      {func(a *App) { a.Webhooks = []Webhook{{URL: "http:///x"}} }, "apps[1].Webhooks[0].URL"},
		"webhook no URL":    {func(a *App) { a.Webhooks = []Webhook{{URL: "http://x y/%zz"}} }, "apps[1].Webhooks[0].URL"},
		"webhook event":     {func(a *App) { a.Webhooks = []Webhook{{URL: "http://x", Events: []string{"x"}}} }, "apps[1].Webhooks[0].Events"},
		"webhook prefix":    {func(a *App) { a.Webhooks = []Webhook{{URL: "http://x", ChannelPrefix: "presence-*"}} }, "apps[1].Webhooks[0].ChannelPrefix"},
		"webhook header":    {func(a *App) { a.Webhooks = []Webhook{{URL: "http://x", Headers: map[string]string{"a b": ""}}} }, "apps[1].Webhooks[0].Headers"},
		"webhook injection": {func(a *App) { a.Webhooks = []Webhook{{URL: "http://x", Headers: map[string]string{"a": "b\r\nc: d"}}} }, "apps[1].Webhooks[0].Headers"},
	} {
		second := App{ID: "2", Key: "second", Secret: "s"}
		c.change(&second)
		_, err := NewApps(App{ID: "1", Key: "first", Secret: "s"}, second)
		var field *broker.FieldError
		if assert.ErrorAs(t, err, &field, name) {
			assert.Equal(t, c.field, field.Field, name)
		}
	}
}

func TestLimitsHaveDefaults(t *testing.T) {
	assert.Equal(t, DefaultLimits, Limits{}.withDefaults())
	assert.Equal(t, 5, Limits{EventBytes: 5}.withDefaults().EventBytes)
	assert.Zero(t, Limits{ClientEventsPerSecond: -1}.withDefaults().ClientEventsPerSecond)
}

func TestRoutes(t *testing.T) {
	for path, want := range map[string]string{
		"/app/key": "key", "/realtime/app/key": "key", "/app/app/key": "key", "/app/": "", "/app": "", "/app/key/x": "", "/apps/1/events": "",
	} {
		key, ok := socketRoute(path)
		assert.Equal(t, want, key, path)
		assert.Equal(t, want != "", ok, path)
	}
	for path, want := range map[string][2]string{
		"/apps/1/events":                           {"1", "/events"},
		"/rt/apps/1/batch_events":                  {"1", "/batch_events"},
		"/apps/x/apps/1/channels/a/users":          {"1", "/channels/a/users"},
		"/apps/apps/1/channels":                    {"1", "/channels"},
		"/apps/1/users/a/b/terminate_connections":  {"1", "/users/a/b/terminate_connections"},
		"/apps/1/users/apps/terminate_connections": {"1", "/users/apps/terminate_connections"},
		"/apps/1/eventsx":                          {},
		"/apps/1":                                  {},
		"/apps//events":                            {},
	} {
		id, rest, _ := apiRoute(path)
		assert.Equal(t, want, [2]string{id, rest}, path)
	}
}

// Limits are worked out once for all connections and requests of an app, also where a
// look-up makes a new App each time, and anew when it brings others.
func TestLimitsOfAnAppAreWorkedOutOnce(t *testing.T) {
	a := newAPITest(t)
	first := a.handler.limits(a.app)
	assert.Equal(t, DefaultLimits, *first)
	again := *a.app
	assert.Same(t, first, a.handler.limits(&again))
	again.Limits.EventBytes = 5
	other := a.handler.limits(&again)
	assert.Equal(t, 5, other.EventBytes)
	assert.Equal(t, DefaultLimits.ChannelsPerEvent, other.ChannelsPerEvent)
	assert.Equal(t, DefaultLimits, *first, "whoever has connected keeps theirs")
	assert.Zero(t, alloctest.PerRun(100, func() { a.handler.limits(&again) }))
}
