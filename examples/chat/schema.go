package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/ncruces/go-sqlite3/ext/fts5"

	"github.com/carillon-rt/carillon/storage/sqlite"
)

// schema is made anew with each start where it is not there yet.
const schema = `
CREATE TABLE IF NOT EXISTS users (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	name TEXT NOT NULL,
	name_key TEXT NOT NULL UNIQUE, -- what two names that look the same have in common
	role TEXT NOT NULL,
	passphrase BLOB NOT NULL,      -- its bcrypt hash
	created_at INTEGER NOT NULL,
	last_seen INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS sessions (
	id TEXT PRIMARY KEY,
	user_id INTEGER NOT NULL REFERENCES users(id),
	expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS bans (
	user_id INTEGER PRIMARY KEY REFERENCES users(id),
	banned_by INTEGER NOT NULL,
	banned_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS invitations (
	token_hash BLOB PRIMARY KEY,
	role TEXT NOT NULL,
	expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rooms (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	name TEXT NOT NULL,
	topic TEXT NOT NULL DEFAULT '',
	kind TEXT NOT NULL,
	capacity INTEGER NOT NULL,
	made_by INTEGER NOT NULL,      -- 0: by the program
	pair TEXT UNIQUE,              -- whose a direct room is
	created_at INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS members (
	room_id INTEGER NOT NULL REFERENCES rooms(id),
	user_id INTEGER NOT NULL REFERENCES users(id),
	joined_at INTEGER NOT NULL,
	read_id INTEGER NOT NULL DEFAULT 0, -- the last message that was read
	PRIMARY KEY (room_id, user_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS members_by_user ON members(user_id);
CREATE TABLE IF NOT EXISTS removals (
	room_id INTEGER NOT NULL,
	user_id INTEGER NOT NULL,
	removed_by INTEGER NOT NULL,
	removed_at INTEGER NOT NULL,
	PRIMARY KEY (room_id, user_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS messages (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	room_id INTEGER NOT NULL REFERENCES rooms(id),
	client_id TEXT,                -- the sender's own name for it
	sender_id INTEGER NOT NULL,
	type TEXT NOT NULL,
	action TEXT NOT NULL DEFAULT '',
	text TEXT NOT NULL,
	reply_to INTEGER NOT NULL DEFAULT 0,
	file_id INTEGER NOT NULL DEFAULT 0,
	created_at INTEGER NOT NULL,
	edited_at INTEGER NOT NULL DEFAULT 0,
	deleted_at INTEGER NOT NULL DEFAULT 0,
	deleted_by INTEGER NOT NULL DEFAULT 0,
	rev INTEGER NOT NULL DEFAULT 1,
	again INTEGER NOT NULL DEFAULT 0, -- how often it was said again
	UNIQUE (sender_id, client_id)
);
CREATE INDEX IF NOT EXISTS messages_by_room ON messages(room_id, id);
CREATE INDEX IF NOT EXISTS messages_by_answered ON messages(reply_to) WHERE reply_to > 0;
CREATE TABLE IF NOT EXISTS mentions (
	user_id INTEGER NOT NULL,
	room_id INTEGER NOT NULL,
	message_id INTEGER NOT NULL,
	PRIMARY KEY (user_id, room_id, message_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS mentions_by_message ON mentions(message_id);
CREATE TABLE IF NOT EXISTS reactions (
	message_id INTEGER NOT NULL,
	emoji TEXT NOT NULL,
	user_id INTEGER NOT NULL,
	created_at INTEGER NOT NULL,
	PRIMARY KEY (message_id, emoji, user_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	room_id INTEGER NOT NULL,
	user_id INTEGER NOT NULL,
	message_id INTEGER NOT NULL DEFAULT 0, -- 0: not sent yet
	name TEXT NOT NULL,
	size INTEGER NOT NULL,
	stored INTEGER NOT NULL,       -- bytes on disk, the thumbnail's included
	content_type TEXT NOT NULL,
	kind TEXT NOT NULL,
	width INTEGER NOT NULL DEFAULT 0,
	height INTEGER NOT NULL DEFAULT 0,
	thumb_width INTEGER NOT NULL DEFAULT 0,
	thumb_height INTEGER NOT NULL DEFAULT 0,
	thumb_type TEXT NOT NULL DEFAULT '',
	preview TEXT NOT NULL DEFAULT '',
	created_at INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS files_by_user ON files(user_id);
CREATE TABLE IF NOT EXISTS activity (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	room_id INTEGER NOT NULL,
	action TEXT NOT NULL,
	user_id INTEGER NOT NULL,
	description TEXT NOT NULL,
	created_at INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS activity_by_room ON activity(room_id, id);
CREATE TABLE IF NOT EXISTS push_subscriptions (
	endpoint TEXT PRIMARY KEY,
	user_id INTEGER NOT NULL,
	session_id TEXT NOT NULL,      -- with which it ends
	p256dh TEXT NOT NULL,
	auth TEXT NOT NULL,
	created_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS push_by_user ON push_subscriptions(user_id);
CREATE INDEX IF NOT EXISTS push_by_session ON push_subscriptions(session_id);
-- Whoever has signed out in a browser is not to be read over their shoulder there.
CREATE TRIGGER IF NOT EXISTS push_of_ended AFTER DELETE ON sessions BEGIN
	DELETE FROM push_subscriptions WHERE session_id = old.id;
END;

-- The words of messages, as storage/words tells them apart.
CREATE VIRTUAL TABLE IF NOT EXISTS message_words USING fts5(
	words, content='', contentless_delete=1, detail=none, tokenize=ascii, prefix='1 2 3');
CREATE TRIGGER IF NOT EXISTS words_of_new AFTER INSERT ON messages WHEN new.type <> 'system' BEGIN
	INSERT INTO message_words(rowid, words) VALUES (new.id, searchable(new.text));
END;
CREATE TRIGGER IF NOT EXISTS words_of_changed AFTER UPDATE OF text ON messages WHEN new.type <> 'system' BEGIN
	UPDATE message_words SET words = searchable(new.text) WHERE rowid = old.id;
END;
`

// maxConnections is how many connections to the database there are.
const maxConnections = 8

// openStore opens the file that has both the events of the broker and the tables of
// this program, so that one transaction can write both. What is deleted is overwritten.
func openStore(ctx context.Context, file string) (*sqlite.Store, error) {
	store, err := sqlite.Open(file, sqlite.WithOtherTables(), sqlite.WithErasing(), sqlite.WithConnected(fts5.Register), sqlite.WithConnected(registerSearch))
	if err != nil {
		return nil, err
	}
	if err := refuseOlder(ctx, store.DB()); err != nil {
		return nil, errors.Join(fmt.Errorf("database %s: %w", file, err), store.Close())
	}
	// Each connection takes some memory; more requests wait for one.
	store.DB().SetMaxOpenConns(maxConnections)
	store.DB().SetMaxIdleConns(maxConnections)
	if _, err := store.DB().ExecContext(ctx, schema); err != nil {
		return nil, errors.Join(fmt.Errorf("database %s: %w", file, err), store.Close())
	}
	return store, nil
}

// refuseOlder refuses a file of a time when the tables were others.
func refuseOlder(ctx context.Context, db *sql.DB) error {
	var older bool
	err := db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'push_subscriptions')
		AND NOT EXISTS (SELECT 1 FROM pragma_table_info('push_subscriptions') WHERE name = 'session_id')`).Scan(&older)
	if older {
		err = errors.New("it is of an earlier version of this example: move it away to begin anew")
	}
	return err
}

// querier is the database, or a transaction on it.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// collect reads all rows of a query, each by scan.
func collect[T any](ctx context.Context, q querier, scan func(*sql.Rows, *T) error, query string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := []T{}
	for rows.Next() {
		var v T
		if err := scan(rows, &v); err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

// column is how collect reads rows of one column.
func column[T any](rows *sql.Rows, v *T) error { return rows.Scan(v) }
