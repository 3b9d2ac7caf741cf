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
	id    INTEGER PRIMARY KEY, -- of carillon_words
	event INTEGER NOT NULL UNIQUE
) STRICT;

CREATE VIRTUAL TABLE carillon_words USING fts5 (words, content = '', contentless_delete = 1, detail = none, tokenize = ascii, prefix = '1 2 3');

CREATE TRIGGER carillon_doc_amended AFTER INSERT ON carillon_state BEGIN
	UPDATE carillon_words SET words = carillon_tokens((SELECT app FROM carillon_channel WHERE id = NEW.id >> 38), NEW.id >> 38, NEW.data)
		WHERE rowid = (SELECT id FROM carillon_doc WHERE event = NEW.id);
END;

CREATE TRIGGER carillon_doc_again AFTER UPDATE ON carillon_state BEGIN
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

INSERT INTO carillon_doc (event) SELECT id FROM carillon_event WHERE flags < 2 ORDER BY appended, id;
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

// tokensOf returns what the index has of an event.
func tokensOf(app string, channel int64, data []byte) string {
	return tokenOfApp(app) + " " + tokenOfChannel(channel) + " " + strings.Join(words.Tokens(data), " ")
}

// index puts the channel's last event into the index.
func (s *session) index(c *channel, ev *storage.Event) error {
	doc := s.use(`INSERT INTO carillon_doc (event) VALUES (?)`)
	doc.int(c.eventID(c.last))
	if err := doc.exec(); err != nil {
		return err
	}
	add := s.use(`INSERT INTO carillon_words (rowid, words) VALUES (last_insert_rowid(), ?)`)
	add.text(tokensOf(c.name.App, c.id, ev.Data))
	return add.exec()
}

// prepareConn registers what the triggers of the index need on a connection.
func prepareConn(conn *sqlite3.Conn) error {
	tokens := func(ctx sqlite3.Context, arg ...sqlite3.Value) {
		ctx.ResultText(tokensOf(arg[0].Text(), arg[1].Int64(), arg[2].RawBlob()))
	}
	return errors.Join(fts5.Register(conn), conn.CreateFunction("carillon_tokens", 3, sqlite3.DETERMINISTIC|sqlite3.INNOCUOUS, tokens))
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

// makeIndex gives the file an index, unless it has one, within a transaction.
func makeIndex(conn *sqlite3.Conn) error {
	n, err := number(conn, countIndex)
	if err != nil || n == 1 {
		return err
	}
	return conn.Exec(createIndex)
}

const countIndex = `SELECT count(*) FROM sqlite_schema WHERE name = 'carillon_words'`
