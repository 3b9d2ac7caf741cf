package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/SherClockHolmes/webpush-go"
)

// keys are the chat's secrets. They are made with the first start.
type keys struct {
	// session signs cookies, app what the broker is to believe.
	session []byte
	app     string
	// pushPublic and pushPrivate are those by which push services know the chat.
	pushPublic, pushPrivate string
}

// loadKeys reads the keys of a data folder, or makes them.
func loadKeys(data string) (keys, error) {
	file := filepath.Join(data, "keys.json")
	var stored struct{ Session, App, PushPublic, PushPrivate string }
	text, err := os.ReadFile(file)
	switch {
	case err == nil:
		if err := json.Unmarshal(text, &stored); err != nil {
			return keys{}, fmt.Errorf("%s: %w", file, err)
		}
		if stored.Session == "" || stored.App == "" || stored.PushPrivate == "" {
			return keys{}, fmt.Errorf("%s: a key is missing: remove the file to make new ones, which signs everybody out", file)
		}
	case errors.Is(err, fs.ErrNotExist):
		stored.Session, stored.App = rand.Text()+rand.Text(), rand.Text()
		if stored.PushPrivate, stored.PushPublic, err = webpush.GenerateVAPIDKeys(); err != nil {
			return keys{}, err
		}
		if text, err = json.MarshalIndent(stored, "", "  "); err != nil {
			return keys{}, err
		}
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return keys{}, err
		}
	default:
		return keys{}, err
	}
	return keys{[]byte(stored.Session), stored.App, stored.PushPublic, stored.PushPrivate}, nil
}
