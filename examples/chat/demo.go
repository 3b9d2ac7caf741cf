package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/carillon-rt/carillon/broker"
)

// demo is a chat that is not empty: three people who have talked for two days, and
// go on while somebody listens.
type demo struct {
	chat   *chat
	people []user
	// spoken is how many lines of the play they have said since the start.
	spoken int
}

// line is something that one of them says.
type line struct {
	who  int
	text string
	// file is the name of a picture, and emoji what the others think of it.
	file, emoji string
	// answers is how many lines back stands what this answers; 0 if it answers none.
	answers int
}

const tower = "Bell tower"

// startDemo brings in the people, with their past if this is the first start.
func (c *chat) startDemo(ctx context.Context) (*demo, error) {
	d := &demo{chat: c}
	for i, name := range []string{"Mia Berg", "Leo Okafor", "Noor Haddad"} {
		role := roles[0]
		if i == 0 {
			role = roles[1]
		}
		key, err := nameKey(name)
		if err != nil {
			return nil, err
		}
		// Without a hash there is no passphrase with which one could sign in as them.
		u := user{Name: name, Role: role}
		if err := c.db.QueryRowContext(ctx, `INSERT INTO users (name, name_key, role, passphrase, created_at) VALUES (?, ?, ?, '', ?)
			ON CONFLICT (name_key) DO UPDATE SET role = excluded.role RETURNING id`, name, key, role, now()).Scan(&u.ID); err != nil {
			return nil, err
		}
		d.people = append(d.people, u)
	}
	for _, u := range d.people {
		c.status.stay(u.ID)
	}
	return d, d.remember(ctx)
}

// remember writes what they have said so far, unless that is there.
func (d *demo) remember(ctx context.Context) error {
	var said bool
	if err := d.chat.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM rooms WHERE name = ?)`, tower).Scan(&said); err != nil || said {
		return err
	}
	files := make(map[string]int64)
	for _, l := range append(append([]line{}, lobbyPast...), towerPast...) {
		if l.file != "" {
			room := int64(lobby)
			if slices.Contains(towerPast, l) {
				room = lobby + 1
			}
			f, err := d.chat.paint(ctx, room, d.people[l.who], l.file)
			if err != nil {
				return fmt.Errorf("demo picture: %w", err)
			}
			files[l.file] = f.ID
		}
	}
	return d.chat.change(ctx, "", func(ch *change) error {
		id, err := ch.insertRoom(ctx, tower, "What rings, and when", openRoom, defaultCapacity, d.people[0].ID)
		if err != nil {
			return err
		}
		for room, past := range map[int64][]line{lobby: lobbyPast, id: towerPast} {
			for _, u := range d.people {
				if err := ch.enter(ctx, room, u); err != nil {
					return err
				}
			}
			if err := d.write(ctx, ch, room, past, files); err != nil {
				return err
			}
		}
		return nil
	})
}

// write stores lines as if they had been said over the last two days.
func (d *demo) write(ctx context.Context, ch *change, roomID int64, past []line, files map[string]int64) error {
	rm, err := ch.chat.room(ctx, ch, d.people[0], roomID)
	if err != nil {
		return err
	}
	members, err := ch.chat.members(ctx, ch, rm, 0)
	if err != nil {
		return err
	}
	var ids []int64
	at := time.Now().Add(-45 * time.Hour)
	pause := 44 * time.Hour / time.Duration(len(past))
	for i, l := range past {
		// They say some things together, and then nothing for a while.
		if i%4 == 0 {
			at = at.Add(3*pause + pause/2)
		} else {
			at = at.Add(pause / 6)
		}
		m := message{SenderID: d.people[l.who].ID, Type: textMessage, Message: l.text, CreatedAt: moment(at.UnixMilli()), Mentions: mentioned(l.text, d.people[l.who], members)}
		if l.answers > 0 {
			m.ReplyTo = &quote{ID: ids[i-l.answers]}
		}
		if l.file != "" {
			m.Type, m.File = "image", &file{ID: files[l.file]}
		}
		if err := ch.insertMessage(ctx, rm, &m); err != nil {
			return err
		}
		ids = append(ids, m.ID)
		if l.file != "" {
			if _, err := ch.ExecContext(ctx, `UPDATE files SET message_id = ? WHERE id = ?`, m.ID, files[l.file]); err != nil {
				return err
			}
		}
		for n, emoji := range strings.Fields(l.emoji) {
			if _, err := ch.ExecContext(ctx, `INSERT INTO reactions (message_id, emoji, user_id, created_at) VALUES (?, ?, ?, ?)`,
				m.ID, emoji, d.people[(l.who+1+n)%len(d.people)].ID, now()); err != nil {
				return err
			}
		}
	}
	return nil
}

// talk goes on with the play, as long as somebody is connected, and answers those
// who say something, until ctx ends.
func (d *demo) talk(ctx context.Context) {
	sub, err := d.chat.events.Subscribe(ctx, roomChannel(lobby, openRoom))
	if err != nil {
		d.chat.log.Warn("the demo does not listen", "error", err)
		return
	}
	defer sub.Close()
	heard := make(chan message)
	go func() {
		defer close(heard)
		for ev, err := range sub.Events() {
			var m message
			if err != nil || ev.Name != "new-message" || json.Unmarshal(ev.Data, &m) != nil || m.Type == systemMessage || d.isOne(m.SenderID) {
				continue
			}
			select {
			case heard <- m:
			case <-ctx.Done():
				return
			}
		}
	}()
	next := time.NewTimer(5 * time.Second)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			for range heard { // it has ended
			}
			return
		case m, ok := <-heard:
			if !ok {
				return
			}
			err = d.answer(ctx, m)
		case <-next.C:
			if d.chat.connections.any() {
				l := play[d.spoken%len(play)]
				d.spoken++
				err = d.speak(ctx, l.who, l.text, 0)
			}
			next.Reset(time.Duration(8+rand.IntN(14)) * time.Second)
		}
		if err != nil && ctx.Err() == nil {
			d.chat.log.Warn("the demo does not speak", "error", err)
		}
	}
}

func (d *demo) isOne(id int64) bool {
	for _, u := range d.people {
		if u.ID == id {
			return true
		}
	}
	return false
}

// answer reacts to a message of a visitor, and says something to a greeting, a
// question or a mention.
func (d *demo) answer(ctx context.Context, m message) error {
	who := int(m.ID) % len(d.people)
	for i, u := range d.people {
		if slices.Contains(m.Mentions, u.ID) {
			who = i
		}
	}
	text := ""
	lower := strings.ToLower(m.Message)
	switch {
	case len(m.Mentions) > 0:
		text = "Here I am, @" + m.SenderName + "! I only know a few lines by heart, though."
	case strings.Contains(lower, "hello"), strings.Contains(lower, "hi "), lower == "hi":
		text = "Hello @" + m.SenderName + ", good to see you here."
	case strings.HasSuffix(lower, "?"):
		text = "Good question. Let us ask Mia when she is down from the tower."
	}
	if err := sleep(ctx, time.Second); err != nil {
		return err
	}
	err := d.chat.change(ctx, "", func(ch *change) error {
		rm, err := d.chat.joinedRoomIn(ctx, ch, d.people[who], m.RoomID)
		if err != nil {
			return err
		}
		if _, err := ch.ExecContext(ctx, `INSERT OR IGNORE INTO reactions (message_id, emoji, user_id, created_at)
			SELECT id, '👋', ?, ? FROM messages WHERE id = ? AND deleted_at = 0`, d.people[who].ID, now(), m.ID); err != nil {
			return err
		}
		_, err = ch.messageChanged(ctx, rm, m.ID)
		return err
	})
	if err != nil || text == "" {
		return err
	}
	return d.speak(ctx, who, text, m.ID)
}

// speak types for a while, and then says something in the lobby.
func (d *demo) speak(ctx context.Context, who int, text string, replyTo int64) error {
	u := d.people[who]
	presence := fmt.Sprintf("presence-room-%d", lobby)
	if _, err := d.chat.events.Publish(ctx, presence, typing, []byte(`{"active":true}`), broker.AsUser(userID(u.ID))); err != nil {
		return err
	}
	if err := sleep(ctx, time.Second+time.Duration(len(text))*30*time.Millisecond); err != nil {
		return err
	}
	return d.chat.change(ctx, "", func(ch *change) error {
		rm, err := d.chat.joinedRoomIn(ctx, ch, u, lobby)
		if err != nil {
			return err
		}
		m := message{SenderID: u.ID, Type: textMessage, Message: text}
		if replyTo != 0 {
			m.ReplyTo = &quote{ID: replyTo}
		}
		return ch.say(ctx, rm, u, &m)
	})
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
