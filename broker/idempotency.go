package broker

import (
	"crypto/sha256"
	"encoding/binary"
)

// requestHash says what the idempotency key of a request stands for: the event
// that the publisher asked for, its name, data and user. Whom it is kept from is no part
// of that, since a client that tries again may have another socket ID by then.
//
// It is of the request before hooks see it, who may stamp it, and before it is
// sealed: both may come out differently with each try.
func (b *Broker) requestHash(app string, req *PublishRequest) *[32]byte {
	data := req.Data
	if c := b.cipher.Load(); c != nil && req.Sealed && KindOf(req.Channel).Base() == Encrypted {
		if plain, err := (*c).Open(app, req.Channel, data); err == nil {
			data = plain
		}
	}
	h := sha256.New()
	var head []byte
	for _, text := range [...]string{req.Event, req.UserID} {
		head = binary.LittleEndian.AppendUint64(head, uint64(len(text)))
		head = append(head, text...)
	}
	if req.ID != "" {
		head = binary.LittleEndian.AppendUint64(append(head, 2), uint64(len(req.ID)))
		head = append(head, req.ID...)
	}
	if req.JSON {
		head = append(head, 1)
	} else {
		head = append(head, 0)
	}
	h.Write(head)
	h.Write(data)
	hash := new([32]byte)
	h.Sum(hash[:0])
	return hash
}
