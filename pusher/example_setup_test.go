package pusher_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/netip"
	"time"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/pusher"
)

func ExampleNewApps() {
	_, err := pusher.NewApps(
		pusher.App{
			ID: "1", Key: "shop-key", Secret: "shop-secret",
			AllowedOrigins: []string{"https://shop.example.com", "https://*.shop.example.com"},
			MaxConnections: 10_000,
			Limits:         pusher.Limits{EventBytes: 64 << 10, PresenceMembers: 500},
		},
		pusher.App{ID: "2", Key: "chat-key", Secret: "chat-secret", AllowedOrigins: []string{"chat.example.com"}},
	)
	fmt.Println(err)
	// Output: pusher: apps[1].AllowedOrigins[0] "chat.example.com" is neither "*", "null", "file://" nor scheme://host[:port]
}

// A webhook tells a backend what happens on channels. Receivers check it as those
// of the hosted service: X-Pusher-Signature is the HMAC of the body.
func ExampleWebhook() {
	app := pusher.App{ID: "1", Key: "app-key", Secret: "app-secret", Webhooks: []pusher.Webhook{{
		URL:           "https://backend.example.com/webhooks",
		Events:        []string{pusher.WebhookMemberAdded, pusher.WebhookMemberRemoved},
		ChannelPrefix: "presence-room-",
		Batch:         true,
	}}}
	fmt.Println(app.Check())
	// Output: <nil>
}

// Behind a proxy, clients have its address and no TLS unless it is trusted to say
// otherwise. It has to pass WebSocket upgrades on, must not buffer responses, and
// may end silent connections only after more than the activity time-out. In nginx:
//
//	location /realtime/ {
//		proxy_pass http://127.0.0.1:8080;
//		proxy_http_version 1.1;
//		proxy_set_header Upgrade $http_upgrade;
//		proxy_set_header Connection $connection_upgrade; # a map of $http_upgrade
//		proxy_set_header Host $http_host;
//		proxy_set_header X-Forwarded-For $remote_addr;
//		proxy_set_header X-Forwarded-Proto $scheme;
//		proxy_buffering off;
//		proxy_read_timeout 180s;
//	}
func ExampleWithTrustedProxies() {
	apps, err := pusher.NewApps(pusher.App{ID: "1", Key: "app-key", Secret: "app-secret", RequireTLS: true})
	if err != nil {
		log.Fatal(err)
	}
	b, err := broker.New()
	if err != nil {
		log.Fatal(err)
	}
	h, err := pusher.NewHandler(b, apps,
		pusher.WithTrustedProxies(netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")))
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/realtime/", h)
}

// With its master key, the app's encrypted channels take plain data in process
// and hand it to clients, feeds and stores sealed. NewAuthHandler gives clients
// that it lets in the channel's key.
func ExampleApp_encrypted() {
	ctx := context.Background()
	apps, err := pusher.NewApps(pusher.App{ID: "1", Key: "app-key", Secret: "app-secret",
		EncryptionMasterKey: []byte("32 random bytes: openssl rand 32")})
	if err != nil {
		log.Fatal(err)
	}
	b, err := broker.New(broker.WithChannelRules(broker.ChannelRule{Pattern: "private-encrypted-*", History: broker.Retention{Events: 1}}))
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = b.Shutdown(ctx) }()
	if _, err := pusher.NewHandler(b, apps); err != nil { // gives the broker the keys of its apps
		log.Fatal(err)
	}
	if _, err := b.App("1").Publish(ctx, "private-encrypted-diary", "entry", []byte(`"dear diary"`)); err != nil {
		log.Fatal(err)
	}
	sub, err := b.App("1").Subscribe(ctx, "private-encrypted-diary", broker.WithRewind(1))
	if err != nil {
		log.Fatal(err)
	}
	defer sub.Close()
	for ev, err := range sub.Events() {
		fmt.Println(ev.Name, string(ev.Data), err)
		break
	}
	// Output: entry "dear diary" <nil>
}

func ExampleSignFeed() {
	app := &pusher.App{ID: "1", Key: "app-key", Secret: "app-secret"}
	token, err := pusher.SignFeed(app, []string{"private-orders"}, time.Unix(2_000_000_000, 0))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("/sse/app/" + app.Key + "?channels=private-orders&token=" + token)
	// Output: /sse/app/app-key?channels=private-orders&token=2000000000.43e578a037d455b30ebe131c8a810bc1f60a25f7f49e5fe5cf21fc5b5a97b197
}
