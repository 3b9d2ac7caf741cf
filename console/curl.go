package console

// signs reports whether requests can be signed for the app.
func (a App) signs() bool { return a.Key != "" && a.Secret != "" }
