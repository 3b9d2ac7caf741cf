package sqlite

import (
	"errors"
	"fmt"

	"github.com/ncruces/go-sqlite3"

	"github.com/carillon-rt/carillon/storage"
)

const (
	// applicationID is how programs such as file(1) tell a file that a store has made:
	// "Cari". The user_version of the file is left to applications, whose own
	// migrations often use it: the schema's version is in carillon_store.
	applicationID = 0x43617269
	// schemaVersion is that of the newest migration.
	schemaVersion = 3
)

// migrations lead from one version of the schema to the next: the first makes version
// 1 of nothing. A released one is never changed.
var migrations = [schemaVersion]string{`
CREATE TABLE carillon_store (
	one      INTEGER PRIMARY KEY CHECK (one = 1),
	version  INTEGER NOT NULL, -- of the schema
	opened   INTEGER NOT NULL, -- the epoch that the last open for writing began
	forgot   INTEGER NOT NULL, -- the first epoch since a channel was forgotten
	revision INTEGER NOT NULL  -- the last one of presence
) STRICT;

-- The order of epochs is that of their ids, and of their numbers.
CREATE TABLE carillon_epoch (
	id     INTEGER PRIMARY KEY,
	number INTEGER NOT NULL,
	random INTEGER NOT NULL,
	began  INTEGER NOT NULL, -- milliseconds
	UNIQUE (number, random)
) STRICT;

-- Events of a channel are numbered over all epochs, from 1 on.
CREATE TABLE carillon_channel (
	id          INTEGER PRIMARY KEY,
	app         TEXT    NOT NULL,
	name        TEXT    NOT NULL,
	last        INTEGER NOT NULL, -- number of the last event; of those kept, the highest may be higher
	gone        INTEGER NOT NULL, -- events up to this are not kept, not even for fills
	deleted     INTEGER NOT NULL, -- keys of events up to this were deleted
	hidden      INTEGER NOT NULL, -- events up to this are no history, whatever the retention
	keep_events INTEGER NOT NULL, -- the retention of the last append
	keep_age    INTEGER NOT NULL, -- milliseconds; 0 is no bound
	epoch       INTEGER NOT NULL, -- of the last event
	start       INTEGER NOT NULL, -- number of the event before the first of that epoch
	since       INTEGER NOT NULL, -- the first epoch of which it is known what the channel had
	used        INTEGER NOT NULL, -- when it last lost something, milliseconds
	UNIQUE (app, name)
) STRICT;

-- The epochs of a channel's events before the one that carillon_channel names.
CREATE TABLE carillon_era (
	channel INTEGER NOT NULL,
	epoch   INTEGER NOT NULL,
	start   INTEGER NOT NULL, -- number of the event before its first
	PRIMARY KEY (channel, epoch)
) STRICT, WITHOUT ROWID;

-- The id is the channel's, shifted by 38 bits, plus the event's number.
CREATE TABLE carillon_event (
	id       INTEGER PRIMARY KEY,
	appended INTEGER NOT NULL, -- milliseconds; never falls within a channel
	event    TEXT    NOT NULL, -- Event.ID
	name     TEXT    NOT NULL,
	data     BLOB,
	flags    INTEGER NOT NULL, -- 1: Data is JSON; 2: retracted; from 4 on: AmendKind
	time     INTEGER NOT NULL, -- Event.Time, microseconds after appended
	user     TEXT,
	socket   TEXT,
	exclude  TEXT,
	target   TEXT,
	version  INTEGER
) STRICT;

CREATE TABLE carillon_key (
	id      INTEGER PRIMARY KEY,
	channel INTEGER NOT NULL,
	key     TEXT    NOT NULL,
	number  INTEGER NOT NULL, -- of the event that used it first
	epoch   INTEGER NOT NULL, -- of that event, and its offset
	offset  INTEGER NOT NULL,
	hash    BLOB,             -- of its request; NULL is all zeros
	until   INTEGER NOT NULL, -- milliseconds
	UNIQUE (channel, key)
) STRICT;
CREATE INDEX carillon_key_until ON carillon_key (until);
`, `
ALTER TABLE carillon_channel ADD COLUMN named INTEGER NOT NULL DEFAULT 0; -- whether its events are in carillon_named
ALTER TABLE carillon_channel ADD COLUMN extra INTEGER NOT NULL DEFAULT 0; -- how many numbers above hidden are amendments
ALTER TABLE carillon_channel ADD COLUMN live  INTEGER NOT NULL DEFAULT 0; -- how many of them are in carillon_event
ALTER TABLE carillon_channel ADD COLUMN cut   INTEGER NOT NULL DEFAULT 0; -- the log begins behind; amendments before it are gone

-- Events by their IDs, of channels that are named.
CREATE TABLE carillon_named (
	channel INTEGER NOT NULL,
	event   TEXT    NOT NULL,
	number  INTEGER NOT NULL,
	PRIMARY KEY (channel, event, number)
) STRICT, WITHOUT ROWID;

-- What amendments have made of events.
CREATE TABLE carillon_state (
	id      INTEGER PRIMARY KEY, -- of carillon_event
	data    BLOB,
	version INTEGER NOT NULL
) STRICT;

-- Amendments, and the events that they have changed.
CREATE TABLE carillon_amendment (
	id     INTEGER PRIMARY KEY, -- of carillon_event
	target INTEGER NOT NULL
) STRICT;
CREATE INDEX carillon_amendment_target ON carillon_amendment (target);

CREATE TRIGGER carillon_event_gone AFTER DELETE ON carillon_event BEGIN
	DELETE FROM carillon_named WHERE channel = OLD.id >> 38 AND event = OLD.event AND number = OLD.id & 274877906943;
	DELETE FROM carillon_state WHERE id = OLD.id;
	DELETE FROM carillon_amendment WHERE id = OLD.id;
END;
`, `
-- Who is on a channel, for as long as somebody is.
CREATE TABLE carillon_roster (
	id       INTEGER PRIMARY KEY,
	app      TEXT    NOT NULL,
	name     TEXT    NOT NULL,
	members  INTEGER NOT NULL,
	epoch    INTEGER NOT NULL, -- of the last change
	revision INTEGER NOT NULL, -- likewise
	UNIQUE (app, name)
) STRICT;

-- In the order they joined.
CREATE TABLE carillon_member (
	id          INTEGER PRIMARY KEY,
	roster      INTEGER NOT NULL,
	user        TEXT    NOT NULL,
	info        BLOB,
	connections INTEGER NOT NULL,
	UNIQUE (roster, user)
) STRICT;
CREATE INDEX carillon_member_roster ON carillon_member (roster);

CREATE TABLE carillon_connection (
	roster INTEGER NOT NULL,
	node   TEXT    NOT NULL,
	conn   TEXT    NOT NULL,
	member INTEGER NOT NULL,
	PRIMARY KEY (roster, node, conn)
) STRICT, WITHOUT ROWID;
CREATE INDEX carillon_connection_node ON carillon_connection (node);

CREATE TABLE carillon_node (
	name TEXT    PRIMARY KEY,
	ends INTEGER NOT NULL -- its lease, milliseconds
) STRICT, WITHOUT ROWID;

-- The latest changes of channels that somebody is on.
CREATE TABLE carillon_change (
	revision INTEGER PRIMARY KEY,
	epoch    INTEGER NOT NULL,
	roster   INTEGER NOT NULL,
	prev     INTEGER NOT NULL, -- the channel's revision before, of the same epoch
	user     TEXT    NOT NULL,
	info     BLOB,
	joined   INTEGER NOT NULL,
	members  INTEGER NOT NULL,
	at       INTEGER NOT NULL -- microseconds
) STRICT;
CREATE INDEX carillon_change_roster ON carillon_change (roster);

-- When users left channels, in that order.
CREATE TABLE carillon_seen (
	id   INTEGER PRIMARY KEY,
	app  TEXT    NOT NULL,
	name TEXT    NOT NULL,
	user TEXT    NOT NULL,
	at   INTEGER NOT NULL, -- microseconds
	UNIQUE (app, name, user)
) STRICT;
`}

// prepareFile makes sure that the file has the newest schema, and starts an epoch, in
// one transaction. What the file lacks it gets; one of another program is refused.
func prepareFile(conn *sqlite3.Conn, cfg *config) (err error) {
	if err := conn.Exec(`BEGIN IMMEDIATE`); err != nil {
		return err
	}
	defer func() {
		if err != nil && !conn.GetAutocommit() {
			err = errors.Join(err, conn.Exec(`ROLLBACK`))
		}
	}()
	version, err := schemaOf(conn, cfg.otherTables)
	if err != nil {
		return err
	}
	for v := version; v < schemaVersion; v++ {
		if err := conn.Exec(migrations[v]); err != nil {
			return fmt.Errorf("migration to version %d: %w", v+1, err)
		}
	}
	if version == 0 {
		if !cfg.otherTables {
			if err := conn.Exec(fmt.Sprintf(`PRAGMA application_id = %d`, applicationID)); err != nil {
				return err
			}
		}
		if err := conn.Exec(`INSERT INTO carillon_store VALUES (1, 0, 0, 1, 0)`); err != nil {
			return err
		}
	}
	s := newSession(conn)
	defer func() { err = errors.Join(err, s.finalize()) }()
	id, _, err := s.newEpoch(storage.Epoch{}, cfg.now())
	if err != nil {
		return err
	}
	set := s.use(`UPDATE carillon_store SET version = ?, opened = ?`)
	set.int(schemaVersion)
	set.int(id)
	if err := set.exec(); err != nil {
		return err
	}
	if err := makeIndex(conn, cfg.search); err != nil {
		return fmt.Errorf("index of words: %w", err)
	}
	return conn.Exec(`COMMIT`)
}

// schemaOf returns the version of the schema of a file, and 0 of one that has none yet.
// It fails if the file is not to be written to.
func schemaOf(conn *sqlite3.Conn, otherTables bool) (version int, err error) {
	ours, err := number(conn, `SELECT count(*) FROM sqlite_schema WHERE name = 'carillon_store'`)
	if err != nil {
		return 0, err
	}
	if ours == 0 {
		return 0, foreign(conn, otherTables)
	}
	switch version, err = number(conn, `SELECT version FROM carillon_store`); {
	case err != nil:
		return 0, err
	case version < 1:
		return 0, fmt.Errorf("%w: its schema has version %d", ErrCorrupt, version)
	case version > schemaVersion:
		return 0, &VersionError{Version: version, Known: schemaVersion}
	}
	return version, nil
}

// foreign returns an error if a file that is no store is another program's.
func foreign(conn *sqlite3.Conn, otherTables bool) error {
	if otherTables {
		return nil
	}
	tables, err := number(conn, `SELECT count(*) FROM sqlite_schema`)
	if err == nil && tables > 0 {
		err = fmt.Errorf("%w: it has tables of another program", ErrForeign)
	}
	if err != nil {
		return err
	}
	id, err := number(conn, `PRAGMA application_id`)
	if err == nil && id != 0 && id != applicationID {
		err = fmt.Errorf("%w: its application ID is %#x", ErrForeign, id)
	}
	return err
}

// number returns what a query answers.
func number(conn *sqlite3.Conn, query string) (n int, err error) {
	st, _, err := conn.Prepare(query)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	if st.Step() {
		n = st.ColumnInt(0)
	}
	return n, st.Err()
}
