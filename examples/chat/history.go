package main

import (
	"context"
	"net/http"
	"slices"
	"strconv"
)

const (
	pageSize    = 50
	maxPageSize = 100
)

// id returns a message's or other ID out of the query; 0 if there is none.
func (r *call) id(field string) (int64, error) {
	text := r.FormValue(field)
	if text == "" {
		return 0, nil
	}
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 1 {
		return 0, invalid(field, "%s is not an ID.", field)
	}
	return id, nil
}

// page returns what a list is asked for: what comes before an ID, and how much.
func (r *call) page() (before int64, limit int, err error) {
	if before, err = r.id("before"); err != nil {
		return 0, 0, err
	}
	limit, err = atMost("limit", r.FormValue("limit"), pageSize, maxPageSize)
	return before, limit, err
}

// messagePage is a stretch of a room's messages, the oldest first.
type messagePage struct {
	Messages  []message `json:"messages"`
	HasBefore bool      `json:"has_before"`
	HasAfter  bool      `json:"has_after"`
}

// listMessages answers with the newest messages, or those before, after or around
// one.
func (c *chat) listMessages(r *call) (any, error) {
	before, limit, err := r.page()
	if err != nil {
		return nil, err
	}
	first := r.FormValue("after") == "0" // from the first message on
	after := int64(0)
	if !first {
		if after, err = r.id("after"); err != nil {
			return nil, err
		}
	}
	around, err := r.id("around")
	if err != nil {
		return nil, err
	}
	rm, err := c.joinedRoom(r.Context(), r.user, r.number("room"))
	if err != nil {
		return nil, err
	}
	switch {
	case first, after != 0:
		return c.messagesAfter(r.Context(), rm, after, limit)
	case around != 0:
		return c.messagesAround(r.Context(), rm, around, limit)
	}
	return c.messagesBefore(r.Context(), rm, before, limit)
}

func (c *chat) messagesBefore(ctx context.Context, rm *room, before int64, limit int) (*messagePage, error) {
	found, err := c.messages(ctx, c.db, `WHERE m.room_id = ?1 AND (?2 = 0 OR m.id < ?2) ORDER BY m.id DESC LIMIT ?3`, rm.ID, before, limit+1)
	if err != nil {
		return nil, err
	}
	page := messagePage{Messages: found[:min(limit, len(found))], HasBefore: len(found) > limit, HasAfter: before != 0}
	slices.Reverse(page.Messages)
	return &page, nil
}

func (c *chat) messagesAfter(ctx context.Context, rm *room, after int64, limit int) (*messagePage, error) {
	found, err := c.messages(ctx, c.db, `WHERE m.room_id = ?1 AND m.id > ?2 ORDER BY m.id LIMIT ?3`, rm.ID, after, limit+1)
	if err != nil {
		return nil, err
	}
	return &messagePage{Messages: found[:min(limit, len(found))], HasBefore: after != 0, HasAfter: len(found) > limit}, nil
}

func (c *chat) messagesAround(ctx context.Context, rm *room, id int64, limit int) (*messagePage, error) {
	if _, err := c.message(ctx, c.db, rm.ID, id); err != nil {
		return nil, refuse(http.StatusNotFound, "not_found", "That message is not in this room.")
	}
	older, err := c.messagesBefore(ctx, rm, id+1, (limit+1)/2)
	if err != nil {
		return nil, err
	}
	newer, err := c.messagesAfter(ctx, rm, id, max(1, limit/2))
	if err != nil {
		return nil, err
	}
	return &messagePage{Messages: append(older.Messages, newer.Messages...), HasBefore: older.HasBefore, HasAfter: newer.HasAfter}, nil
}
