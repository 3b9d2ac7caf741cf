package broker

// cipherCalls is a cipher whose panics are errors.
type cipherCalls struct {
	faults *faults
	cipher Cipher
}

// Seal implements Cipher.
func (c *cipherCalls) Seal(app, channel string, data []byte) (sealed []byte, err error) {
	defer c.faults.caught("cipher", &err)
	return c.cipher.Seal(app, channel, data)
}

// Open implements Cipher.
func (c *cipherCalls) Open(app, channel string, sealed []byte) (data []byte, err error) {
	defer c.faults.caught("cipher", &err)
	return c.cipher.Open(app, channel, sealed)
}
