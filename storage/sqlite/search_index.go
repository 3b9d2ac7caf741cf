package sqlite

import (
	"errors"
	"hash/fnv"
	"strconv"
	"strings"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/ext/fts5"

	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/words"
)

// The index has of each event that can be found the tokens of package words, and one each
// for its channel and its app, in a table of FTS5 that keeps no text and no places:
// whether all of a query is there, and where, is seen from the event. Rows are numbered
// in the order in which events were appended, over all channels, so that the newest come
// first without sorting. What changes is seen to by triggers; what is appended is not, since
// FTS5 would write its part of the index out for each event.
const createIndex = `
CREATE TABLE carillon_doc (
	id      INTEGER PRIMARY KEY, -- of carillon_words
	event   INTEGER NOT NULL UNIQUE,
	outline INTEGER NOT NULL -- words.Outline, by which a ranked search knows what to read
) STRICT;

CREATE VIRTUAL TABLE carillon_words USING fts5 (words, content = '', contentless_delete = 1, detail = none, tokenize = ascii, prefix = '1 2 3');

CREATE TRIGGER carillon_doc_amended AFTER INSERT ON carillon_state BEGIN
	UPDATE carillon_doc SET outline = carillon_outline(NEW.data) WHERE event = NEW.id;
	UPDATE carillon_words SET words = carillon_tokens((SELECT app FROM carillon_channel WHERE id = NEW.id >> 38), NEW.id >> 38, NEW.data)
		WHERE rowid = (SELECT id FROM carillon_doc WHERE event = NEW.id);
END;

CREATE TRIGGER carillon_doc_again AFTER UPDATE ON carillon_state BEGIN
	UPDATE carillon_doc SET outline = carillon_outline(NEW.data) WHERE event = NEW.id;
	UPDATE carillon_words SET words = carillon_tokens((SELECT app FROM carillon_channel WHERE id = NEW.id >> 38), NEW.id >> 38, NEW.data)
		WHERE rowid = (SELECT id FROM carillon_doc WHERE event = NEW.id);
END;

CREATE TRIGGER carillon_doc_retracted AFTER UPDATE OF flags ON carillon_event WHEN NEW.flags & 2 AND NEW.flags < 4 BEGIN
	DELETE FROM carillon_words WHERE rowid = (SELECT id FROM carillon_doc WHERE event = NEW.id);
	DELETE FROM carillon_doc WHERE event = NEW.id;
END;

CREATE TRIGGER carillon_doc_gone AFTER DELETE ON carillon_event WHEN OLD.flags < 4 BEGIN
	DELETE FROM carillon_words WHERE rowid = (SELECT id FROM carillon_doc WHERE event = OLD.id);
	DELETE FROM carillon_doc WHERE event = OLD.id;
END;

INSERT INTO carillon_doc (event, outline)
	SELECT e.id, carillon_outline(CASE WHEN s.id IS NULL THEN e.data ELSE s.data END)
	FROM carillon_event e LEFT JOIN carillon_state s ON s.id = e.id WHERE e.flags < 2 ORDER BY e.appended, e.id;
INSERT INTO carillon_words (rowid, words)
	SELECT d.id, carillon_tokens(c.app, c.id, CASE WHEN s.id IS NULL THEN e.data ELSE s.data END)
	FROM carillon_doc d JOIN carillon_event e ON e.id = d.event JOIN carillon_channel c ON c.id = e.id >> 38
	LEFT JOIN carillon_state s ON s.id = e.id ORDER BY d.id`

// Tokens that are no words begin with a character that no word has.
const (
	channelToken = "\ue000"
	appToken     = "\ue001"
)

func tokenOfChannel(id int64) string { return channelToken + strconv.FormatInt(id, 36) }

func tokenOfApp(app string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(app))
	return appToken + strconv.FormatUint(h.Sum64(), 36)
}

// indexed returns what the index has of an event with some tokens.
func indexed(app string, channel int64, tokens []string) string {
	return tokenOfApp(app) + " " + tokenOfChannel(channel) + " " + strings.Join(tokens, " ")
}

// index puts the channel's last event into the index.
func (s *session) index(c *channel, ev *storage.Event) error {
	tokens, outline := words.Index(ev.Data)
	doc := s.use(`INSERT INTO carillon_doc (event, outline) VALUES (?, ?)`)
	doc.int(c.eventID(c.last))
	doc.int(int64(outline))
	if err := doc.exec(); err != nil {
		return err
	}
	add := s.use(`INSERT INTO carillon_words (rowid, words) VALUES (last_insert_rowid(), ?)`)
	add.text(indexed(c.name.App, c.id, tokens))
	return add.exec()
}

// prepareConn registers what the triggers of the index need on a connection.
func prepareConn(conn *sqlite3.Conn) error {
	const pure = sqlite3.DETERMINISTIC | sqlite3.INNOCUOUS
	tokens := func(ctx sqlite3.Context, arg ...sqlite3.Value) {
		ctx.ResultText(indexed(arg[0].Text(), arg[1].Int64(), words.Tokens(arg[2].RawBlob())))
	}
	outline := func(ctx sqlite3.Context, arg ...sqlite3.Value) {
		_, outline := words.Index(arg[0].RawBlob())
		ctx.ResultInt64(int64(outline))
	}
	return errors.Join(fts5.Register(conn), conn.CreateFunction("carillon_tokens", 3, pure, tokens),
		conn.CreateFunction("carillon_outline", 1, pure, outline))
}

// WithSearch gives the file an index of the words in its events, which Search needs. It
// stays: whoever opens the file keeps it up, with this option or without, and appends take
// more time. A file that has events is indexed before Open returns, which takes seconds
// for a million.
//
// What is retracted, or is removed by the retention, is not found any more at once. Which
// words it had stays in the index until FTS5 merges that part of it.
func WithSearch() Option {
	return func(c *config) error {
		c.search = true
		return nil
	}
}

// makeIndex gives the file an index if one is wanted, unless it has one, within a
// transaction. One without outlines is made anew.
func makeIndex(conn *sqlite3.Conn, wanted bool) error {
	has, err := number(conn, countIndex)
	if err != nil || has == 0 && !wanted {
		return err
	}
	if has == 1 {
		outlines, err := number(conn, `SELECT count(*) FROM pragma_table_info('carillon_doc') WHERE name = 'outline'`)
		if err != nil || outlines == 1 {
			return err
		}
		if err := conn.Exec(dropIndex); err != nil {
			return err
		}
	}
	return conn.Exec(createIndex)
}

const (
	countIndex = `SELECT count(*) FROM sqlite_schema WHERE name = 'carillon_words'`
	dropIndex  = `DROP TRIGGER carillon_doc_amended; DROP TRIGGER carillon_doc_again; DROP TRIGGER carillon_doc_retracted;
		DROP TRIGGER carillon_doc_gone; DROP TABLE carillon_words; DROP TABLE carillon_doc`
)
