package broker

// App is one app of a broker: a namespace of channels and users. It is cheap to make
// and safe for concurrent use.
type App struct {
	broker *Broker
	id     string
	hash   uint64 // of id: see registry.keyIn
}

// ID returns the app's ID.
func (a *App) ID() string { return a.id }

// App returns a handle on the app with the given ID: its channels are apart from
// those of every other app. An app comes into being by being used.
func (b *Broker) App(id string) *App { return &App{broker: b, id: id, hash: b.channels.hashApp(id)} }

func (a *App) presenceChannel(name string) (ChannelID, error) {
	if err := CheckChannelName(name); err != nil {
		return ChannelID{}, err
	}
	if KindOf(name).Base() != Presence {
		return ChannelID{}, &FieldError{Field: "channel", Value: name, Problem: "is not a presence channel"}
	}
	return ChannelID{App: a.id, Name: name}, nil
}
