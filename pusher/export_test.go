package pusher

// What a backend without SignChannel and SignUser may sign, valid or not.

func UncheckedChannelAuth(app *App, socketID, channel, channelData string) string {
	return app.Key + ":" + channelSignature(app, socketID, channel, channelData)
}

func UncheckedUserAuth(app *App, socketID, userData string) string {
	return app.Key + ":" + userSignature(app, socketID, userData)
}
