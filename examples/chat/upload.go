package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"os"
	"time"

	"github.com/carillon-rt/carillon/examples/chat/internal/media"
)

// upload takes in a file for a room. It is shown to nobody until a message has it.
func (c *chat) upload(r *call) (any, error) {
	ctx := r.Context()
	rm, err := c.joinedRoom(ctx, r.user, r.number("room"))
	if err != nil {
		return nil, err
	}
	if err := c.limits.upload(ctx, r.user); err != nil {
		return nil, err
	}
	if err := c.dropUnsent(ctx); err != nil {
		return nil, err
	}
	// What is certainly too much is not even read.
	if err := c.checkQuota(ctx, c.db, r.user, max(0, r.ContentLength)); err != nil {
		return nil, err
	}
	// A slow line takes longer than other requests may.
	if err := http.NewResponseController(r.w).SetReadDeadline(time.Now().Add(uploadTimeout)); err != nil {
		return nil, err
	}
	received, size, err := c.files.receive(r.w, r.Request, c.config.maxUpload)
	if err != nil {
		return nil, err
	}
	defer c.files.drop(received)
	if size == 0 {
		return nil, invalid("file", "That file is empty.")
	}
	found, err := c.files.inspect(ctx, received)
	if err != nil {
		return nil, err
	}
	f, err := c.storeFile(ctx, rm, r.user, uploadName(r.Header.Get("X-File-Name"), found), received, size, found)
	if err != nil {
		return nil, err
	}
	return created{map[string]any{"file": f}}, nil
}

// storeFile keeps an upload that was looked at.
func (c *chat) storeFile(ctx context.Context, rm *room, u user, name string, received *os.File, size int64, found *media.File) (*file, error) {
	if found.Kind == media.Image {
		size = int64(len(found.Data))
	}
	f := file{Name: name, Size: size, ContentType: found.ContentType, Kind: found.Kind, Width: found.Width, Height: found.Height,
		ThumbWidth: found.ThumbWidth, ThumbHeight: found.ThumbHeight, Preview: found.Preview}
	err := c.change(ctx, "", func(ch *change) error {
		stored := size + int64(len(found.Thumb))
		if err := c.checkQuota(ctx, ch, u, stored); err != nil {
			return err
		}
		done, err := ch.ExecContext(ctx, `INSERT INTO files (room_id, user_id, name, size, stored, content_type, kind, width, height,
			thumb_width, thumb_height, thumb_type, preview, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			rm.ID, u.ID, name, size, stored, f.ContentType, f.Kind, f.Width, f.Height, f.ThumbWidth, f.ThumbHeight, found.ThumbType, f.Preview, now())
		if err != nil {
			return err
		}
		if f.ID, err = done.LastInsertId(); err != nil {
			return err
		}
		ch.otherwise(func() { c.files.remove(f.ID) })
		return c.files.keep(f.ID, received, found)
	})
	return f.withURLs(), err
}

// checkQuota refuses size bytes more than a user may keep, or than all may.
func (c *chat) checkQuota(ctx context.Context, q querier, u user, size int64) error {
	var own, all int64
	if err := q.QueryRowContext(ctx, `SELECT coalesce(sum(stored) FILTER (WHERE user_id = ?), 0), coalesce(sum(stored), 0) FROM files`, u.ID).Scan(&own, &all); err != nil {
		return err
	}
	switch {
	case size > c.config.maxUpload:
		return &http.MaxBytesError{Limit: c.config.maxUpload}
	case own+size > c.config.userQuota:
		return refuse(http.StatusRequestEntityTooLarge, "quota", "Your files take up all of your %s. Delete messages with files first.", sizeText(c.config.userQuota))
	case all+size > c.config.totalQuota:
		return refuse(http.StatusRequestEntityTooLarge, "quota", "There is no room for more files here. Tell who runs this chat.")
	}
	return nil
}

// dropUnsent removes uploads that no message has taken up.
func (c *chat) dropUnsent(ctx context.Context) error {
	old, err := collect(ctx, c.db, column[int64],
		`DELETE FROM files WHERE message_id = 0 AND created_at < ? RETURNING id`, now()-moment(unsentAge.Milliseconds()))
	for _, id := range old {
		c.files.remove(id)
	}
	return err
}

// sweepFiles removes files that a killed program has left behind, at the start. Another
// one may be at work in the folder: it stores a file within a transaction, as this is.
func (c *chat) sweepFiles(ctx context.Context) error {
	return c.change(ctx, "", func(ch *change) error {
		ids, err := collect(ctx, ch, column[int64], `SELECT id FROM files`)
		if err != nil {
			return err
		}
		known := make(map[int64]bool, len(ids))
		for _, id := range ids {
			known[id] = true
		}
		return c.files.sweep(known)
	})
}

// unsentFile returns an upload of u's for a room that no message has yet.
func (ch *change) unsentFile(ctx context.Context, roomID int64, u user, id int64) (*file, error) {
	f := file{ID: id}
	var messageID int64
	err := ch.QueryRowContext(ctx, `SELECT name, kind, message_id FROM files WHERE id = ? AND room_id = ? AND user_id = ?`, id, roomID, u.ID).
		Scan(&f.Name, &f.Kind, &messageID)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, invalid("file_id", "That file is not there any more. Please attach it again.")
	case err != nil:
		return nil, err
	case messageID != 0:
		return nil, refuse(http.StatusConflict, "conflict", "That file was sent already.")
	}
	return &f, nil
}

// discardUpload removes an upload that was not sent.
func (c *chat) discardUpload(r *call) (any, error) {
	id := r.number("file")
	done, err := c.db.ExecContext(r.Context(), `DELETE FROM files WHERE id = ? AND user_id = ? AND message_id = 0`, id, r.user.ID)
	if err != nil {
		return nil, err
	}
	if n, err := done.RowsAffected(); err != nil {
		return nil, err
	} else if n == 0 {
		return nil, notFound("file")
	}
	c.files.remove(id)
	return nil, nil
}

func (c *chat) sendFile(r *call) (any, error)  { return c.download(r, false) }
func (c *chat) sendThumb(r *call) (any, error) { return c.download(r, true) }

// download sends a file to a member of its room, or to who has uploaded it. Pictures
// are what this program has made; everything else is to be saved and not to be
// opened here.
func (c *chat) download(r *call, thumb bool) (any, error) {
	id := r.number("file")
	var name, kind, contentType, thumbType string
	var roomID, owner, messageID int64
	err := c.db.QueryRowContext(r.Context(), `SELECT name, kind, content_type, thumb_type, room_id, user_id, message_id FROM files WHERE id = ?`, id).
		Scan(&name, &kind, &contentType, &thumbType, &roomID, &owner, &messageID)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, notFound("file")
	}
	if err != nil {
		return nil, err
	}
	if _, err := c.joinedRoom(r.Context(), r.user, roomID); err != nil || messageID == 0 && owner != r.user.ID || thumb && thumbType == "" {
		return nil, notFound("file")
	}
	stored := fileName(id)
	if thumb {
		stored, contentType = thumbName(id), thumbType
	}
	f, err := c.files.root.Open(stored)
	if err != nil {
		return nil, fmt.Errorf("file %d: %w", id, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	disposition := "attachment"
	if kind == media.Image {
		disposition = "inline"
	}
	h := r.w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Disposition", mime.FormatMediaType(disposition, map[string]string{"filename": name}))
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("Cache-Control", "private, max-age=31536000, immutable")
	http.ServeContent(r.w, r.Request, "", info.ModTime(), f)
	return written{}, nil
}
