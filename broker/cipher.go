package broker

// Cipher seals the events of encrypted channels. It is safe for concurrent use.
type Cipher interface {
	// Seal encrypts data for the channel of the app.
	Seal(app, channel string, data []byte) ([]byte, error)
	// Open reverses Seal.
	Open(app, channel string, sealed []byte) ([]byte, error)
}

// cipherCalls is a cipher whose panics are errors.
type cipherCalls struct {
	broker *Broker
	cipher Cipher
}

// Seal implements Cipher.
func (c *cipherCalls) Seal(app, channel string, data []byte) (sealed []byte, err error) {
	defer c.broker.caught("cipher", &err)
	return c.cipher.Seal(app, channel, data)
}

// Open implements Cipher.
func (c *cipherCalls) Open(app, channel string, sealed []byte) (data []byte, err error) {
	defer c.broker.caught("cipher", &err)
	return c.cipher.Open(app, channel, sealed)
}

// UseCipher tells the broker how to seal events of encrypted channels. Protocol
// handlers call it when they are made. A broker has one cipher: it returns
// ErrHasCipher, and changes nothing, where there is one already.
func (b *Broker) UseCipher(c Cipher) error {
	c = &cipherCalls{b, c}
	if !b.cipher.CompareAndSwap(nil, &c) {
		return ErrHasCipher
	}
	return nil
}
