package ratelimit

// ConnectionsPerIP limits new connections from one address: rate per second, and
// burst at once. Clients behind one NAT share it.
func ConnectionsPerIP(rate float64, burst int) Rule {
	return Rule{Name: "connections per IP", Action: Connect, Limit: Limit{rate, burst}, By: []Field{ByIP}}
}

// ClientEventsPerSession limits the client events of one connection: rate per
// second, and burst at once. Pusher allows 10 per second.
func ClientEventsPerSession(rate float64, burst int) Rule {
	return Rule{Name: "client events per session", Action: ClientEvent, Limit: Limit{rate, burst}, By: []Field{BySession}}
}

// PublishesPerApp limits the events published to an app, by its HTTP API or from
// Go: rate per second, and burst at once. An event to ten channels counts as ten,
// and is always refused where burst is less.
func PublishesPerApp(rate float64, burst int) Rule {
	return Rule{Name: "publishes per app", Action: Publish, Limit: Limit{rate, burst}, By: []Field{ByApp}}
}

// SubscribesPerSession limits the subscriptions that one connection makes: rate
// per second, and burst at once. After a reconnect a client makes all of its
// subscriptions again, so burst has to allow for them.
func SubscribesPerSession(rate float64, burst int) Rule {
	return Rule{Name: "subscribes per session", Action: Subscribe, Limit: Limit{rate, burst}, By: []Field{BySession}}
}

// PayloadBytesPerApp limits the bytes of the events published to an app, by its
// HTTP API or from Go. A payload larger than burst is always refused, so burst is at least the
// largest payload that the app may send.
func PayloadBytesPerApp(bytesPerSecond float64, burst int) Rule {
	return Rule{
		Name: "payload bytes per app", Action: Publish, Limit: Limit{bytesPerSecond, burst}, By: []Field{ByApp},
		Cost: func(req Request) int { return req.Size },
	}
}
