package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// group is how many rows a bare transaction has, and how many publishers there are.
const group = 64

var payload = []byte(strings.Repeat("x", 200))

// bare is a table of events with nothing around it.
type bare struct {
	path         string
	conn         *sqlite3.Conn
	insert, last *sqlite3.Stmt
	rows         int64
}

func openBare(path string) (*bare, error) {
	conn, err := sqlite3.Open(path)
	if err != nil {
		return nil, err
	}
	b := &bare{path: path, conn: conn}
	err = conn.Exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
		CREATE TABLE event (channel INTEGER, number INTEGER, id TEXT, name TEXT, data BLOB, time INTEGER, PRIMARY KEY (channel, number)) WITHOUT ROWID`)
	if err == nil {
		b.insert, _, err = conn.Prepare(`INSERT INTO event VALUES (?, ?, ?, ?, ?, ?)`)
	}
	if err == nil {
		b.last, _, err = conn.Prepare(`SELECT number, id, name, data, time FROM event WHERE channel = ? ORDER BY number DESC LIMIT 50`)
	}
	return b, err
}

// commit writes rows to as many channels, in turn, in one transaction.
func (b *bare) commit(rows, channels int) error {
	if err := b.conn.Exec(`BEGIN IMMEDIATE`); err != nil {
		return err
	}
	now := time.Now().UnixMicro()
	for range rows {
		st := b.insert
		b.rows++
		err := errors.Join(st.BindInt64(1, b.rows%int64(channels)), st.BindInt64(2, b.rows),
			st.BindText(3, fmt.Sprintf("%024d", b.rows)), st.BindText(4, "message"),
			st.BindBlob(5, payload), st.BindInt64(6, now))
		if err = errors.Join(err, st.Exec()); err != nil {
			return errors.Join(err, b.conn.Exec(`ROLLBACK`))
		}
	}
	return b.conn.Exec(`COMMIT`)
}

// row is one that was read.
type row struct {
	number, time int64
	id, name     string
	data         []byte
}

// last50 reads the last rows of a channel.
func (b *bare) last50(channel int64) (rows []row, err error) {
	if err := b.last.BindInt64(1, channel); err != nil {
		return nil, err
	}
	rows = make([]row, 0, 50)
	for b.last.Step() {
		rows = append(rows, row{number: b.last.ColumnInt64(0), id: b.last.ColumnText(1), name: b.last.ColumnText(2),
			data: b.last.ColumnBlob(3, nil), time: b.last.ColumnInt64(4)})
	}
	err = b.last.Err()
	return rows, errors.Join(err, b.last.Reset())
}

func (b *bare) close() error {
	return errors.Join(b.insert.Close(), b.last.Close(), b.conn.Close())
}

// size is that of a file whose WAL was taken into it, as closing does.
func size(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
