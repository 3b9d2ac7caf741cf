package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"io"
	"mime"
	"net/http"
	"path"
	"slices"
	"strings"
)

const maxFile = 5 << 20 // bytes

type file struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Type string `json:"type"`
}

// pictures are shown in the page; all else is there to be saved.
var pictures = []string{"image/png", "image/jpeg", "image/gif", "image/webp"}

// receive keeps a file until a message takes it. Neither its name nor what the sender
// says of it decides anything.
func (c *chat) receive(ctx context.Context, owner, name string, body io.Reader) (f file, err error) {
	f = file{ID: rand.Text(), Name: path.Base(strings.ReplaceAll(name, `\`, "/")), Type: "application/octet-stream"}
	data, err := io.ReadAll(body) // of which there is at most maxFile
	if err != nil {
		return file{}, err
	}
	if t := http.DetectContentType(data); slices.Contains(pictures, t) {
		f.Type = t
	}
	if err := c.files.WriteFile(f.ID, data, 0o600); err != nil {
		return file{}, err
	}
	_, err = c.store.DB().ExecContext(ctx, `INSERT INTO files (id, owner, name, type) VALUES (?, ?, ?, ?)`, f.ID, owner, f.Name, f.Type)
	return f, err
}

// send lets the page show a picture and save what is none, and run neither.
func (c *chat) send(w http.ResponseWriter, r *http.Request) {
	f := file{ID: r.PathValue("id")}
	err := c.store.DB().QueryRowContext(r.Context(), `SELECT name, type FROM files WHERE id = ? AND message > 0`, f.ID).Scan(&f.Name, &f.Type)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	disposition := "attachment"
	if slices.Contains(pictures, f.Type) {
		disposition = "inline"
	}
	w.Header().Set("Content-Type", f.Type)
	w.Header().Set("Content-Disposition", mime.FormatMediaType(disposition, map[string]string{"filename": f.Name}))
	w.Header().Set("Content-Security-Policy", "default-src 'none'; sandbox")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	http.ServeFileFS(w, r, c.files.FS(), f.ID)
}

// attach gives a file to the message that it was brought for.
func attach(ctx context.Context, tx *sql.Tx, m *message, fileID string) error {
	f := file{ID: fileID}
	err := tx.QueryRowContext(ctx, `UPDATE files SET message = ? WHERE id = ? AND owner = ? AND message = 0 RETURNING name, type`, m.ID, fileID, m.From).
		Scan(&f.Name, &f.Type)
	if err != nil {
		return errors.New("that file is not there any more")
	}
	m.File = &f
	return nil
}
