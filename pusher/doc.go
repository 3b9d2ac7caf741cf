// Package pusher makes a broker speak the Pusher Channels protocol: to browsers and
// apps that use pusher-js, Laravel Echo or any other client of it, and to backends that
// publish with Pusher's server SDKs over HTTP. They need no change but their host and
// port.
//
//	apps, err := pusher.NewApps(pusher.App{ID: "1", Key: "app-key", Secret: "app-secret"})
//	b, err := broker.New()
//	h, err := pusher.NewHandler(b, apps)
//	mux.Handle("/", h)
//
// It is about that protocol only. Channels, events and members are package broker's; Go
// code in the same process publishes and subscribes there.
//
// The protocol is described at
// https://pusher.com/docs/channels/library_auth_reference/pusher-websockets-protocol/
// and https://pusher.com/docs/channels/library_auth_reference/rest-api/.
package pusher
