package pusher

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/crypto/nacl/secretbox"

	"github.com/carillon-rt/carillon/broker"
)

const (
	masterKeyBytes = 32
	nonceBytes     = 24
)

// sealed is the data of an event on an encrypted channel
// (https://pusher.com/docs/channels/using_channels/encrypted-channels/).
type sealed struct {
	Nonce      []byte `json:"nonce"`
	Ciphertext []byte `json:"ciphertext"`
}

// sharedSecret is the key of one encrypted channel.
func sharedSecret(app *App, channel string) [32]byte {
	return sha256.Sum256(append([]byte(channel), app.EncryptionMasterKey...))
}

// cipher implements broker.Cipher with the apps' master keys.
type cipher struct{ apps Apps }

func (c *cipher) key(app, channel string) (*[32]byte, error) {
	a, err := c.apps.AppByID(context.Background(), app)
	if err != nil {
		return nil, err
	}
	if len(a.EncryptionMasterKey) != masterKeyBytes {
		return nil, fmt.Errorf("%w: app %q has no encryption master key", broker.ErrNoCipher, app)
	}
	key := sharedSecret(a, channel)
	return &key, nil
}

// Seal implements broker.Cipher.
func (c *cipher) Seal(app, channel string, data []byte) ([]byte, error) {
	key, err := c.key(app, channel)
	if err != nil {
		return nil, err
	}
	var nonce [nonceBytes]byte
	_, _ = rand.Read(nonce[:]) // never fails
	return json.Marshal(sealed{Nonce: nonce[:], Ciphertext: secretbox.Seal(nil, data, &nonce, key)})
}

var errNotOpened = errors.New("data does not open with the app's encryption master key")

// Open implements broker.Cipher.
func (c *cipher) Open(app, channel string, data []byte) ([]byte, error) {
	key, err := c.key(app, channel)
	if err != nil {
		return nil, err
	}
	var s sealed
	if err := json.Unmarshal(data, &s); err != nil || len(s.Nonce) != nonceBytes {
		return nil, fmt.Errorf("channel %q: %w", channel, errNotOpened)
	}
	plain, ok := secretbox.Open(nil, s.Ciphertext, (*[nonceBytes]byte)(s.Nonce), key)
	if !ok {
		return nil, fmt.Errorf("channel %q: %w", channel, errNotOpened)
	}
	return plain, nil
}
