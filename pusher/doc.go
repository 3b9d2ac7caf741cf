// Package pusher makes a broker speak the Pusher Channels protocol: to browsers
// and apps that use pusher-js, Laravel Echo or any other client of it, and to
// backends that publish with Pusher's server SDKs over HTTP. None of them has to
// be changed but for host and port.
//
//	apps, err := pusher.NewApps(pusher.App{ID: "1", Key: "app-key", Secret: "app-secret"})
//	b, err := broker.New()
//	h, err := pusher.NewHandler(b, apps)
//	mux.Handle("/", h)
//
// The package is about that protocol and nothing else: channels, events and
// members are package broker's, and what Go code publishes or receives in the
// same process goes through that.
//
// The protocol is described at
// https://pusher.com/docs/channels/library_auth_reference/pusher-websockets-protocol/
// and https://pusher.com/docs/channels/library_auth_reference/rest-api/.
package pusher
