package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"unicode"

	"golang.org/x/text/cases"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/storage"
)

// readWords reads the words that are not to be said, one a line.
func readWords(file string) (map[string]bool, error) {
	words := make(map[string]bool)
	if file == "" {
		return words, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("-words: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if word := strings.TrimSpace(lines.Text()); word != "" {
			words[cases.Fold().String(word)] = true
		}
	}
	return words, lines.Err()
}

// saidBefore is the context of what was said before there was a word against it.
type saidBefore struct{}

// filterWords is the hook that refuses messages with words that are not to be said.
// It runs before anything is stored.
func (c *chat) filterWords(ctx context.Context, req *broker.PublishRequest) error {
	if ctx.Value(saidBefore{}) != nil {
		return nil
	}
	if req.Event != "new-message" && req.Event != "message-changed" {
		return nil
	}
	return c.filter(req.Data)
}

// filterEdits does so for messages that are edited.
func (c *chat) filterEdits(_ context.Context, req *broker.AmendRequest) error {
	if req.Amends != storage.Edit {
		return nil
	}
	return c.filter(req.Data)
}

// filter looks at the message in an event.
func (c *chat) filter(data []byte) error {
	if len(c.config.words) == 0 {
		return nil
	}
	var m message
	if err := json.Unmarshal(data, &m); err != nil {
		return err
	}
	if m.Type == systemMessage {
		return nil
	}
	notInWord := func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.IsMark(r) }
	for word := range strings.FieldsFuncSeq(cases.Fold().String(m.Message), notInWord) {
		if c.config.words[word] {
			return broker.Refuse(http.StatusUnprocessableEntity, fmt.Sprintf("“%s” is not said here. Please find another word.", word))
		}
	}
	return nil
}
