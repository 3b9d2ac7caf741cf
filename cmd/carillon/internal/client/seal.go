package client

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"

	"golang.org/x/crypto/nacl/secretbox"

	"github.com/carillon-rt/carillon/broker"
)

// sealed is the data of an event on an encrypted channel
// (https://pusher.com/docs/channels/using_channels/encrypted-channels/).
type sealed struct {
	Nonce      []byte `json:"nonce"`
	Ciphertext []byte `json:"ciphertext"`
}

const nonceBytes = 24

// ErrNotOpened says that an event's data was not sealed with the key at hand.
var ErrNotOpened = errors.New("the data does not open with this encryption master key")

// IsEncrypted reports whether the events of a channel are sealed.
func IsEncrypted(channel string) bool {
	return broker.KindOf(channel).Base() == broker.Encrypted
}

func sharedSecret(channel string, masterKey []byte) *[32]byte {
	key := sha256.Sum256(append([]byte(channel), masterKey...))
	return &key
}

// Seal encrypts the data of an event for an encrypted channel.
func Seal(channel string, masterKey []byte, data string) (string, error) {
	var nonce [nonceBytes]byte
	_, _ = rand.Read(nonce[:]) // never fails
	text, err := json.Marshal(sealed{Nonce: nonce[:], Ciphertext: secretbox.Seal(nil, []byte(data), &nonce, sharedSecret(channel, masterKey))})
	return string(text), err
}

// Open decrypts what Seal has encrypted. Its error is ErrNotOpened.
func Open(channel string, masterKey []byte, data string) (string, error) {
	var s sealed
	if err := json.Unmarshal([]byte(data), &s); err != nil || len(s.Nonce) != nonceBytes {
		return "", ErrNotOpened
	}
	plain, ok := secretbox.Open(nil, s.Ciphertext, (*[nonceBytes]byte)(s.Nonce), sharedSecret(channel, masterKey))
	if !ok {
		return "", ErrNotOpened
	}
	return string(plain), nil
}
