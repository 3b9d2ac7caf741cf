package main

import (
	"errors"

	"github.com/ncruces/go-sqlite3"
)

// ncruces is github.com/ncruces/go-sqlite3, which can be used without database/sql.
type ncruces struct {
	conn           *sqlite3.Conn
	insertS, lastS *sqlite3.Stmt
}

func openNcruces(path string) (session, error) {
	conn, err := sqlite3.Open(path)
	if err != nil {
		return nil, err
	}
	s := &ncruces{conn: conn}
	for _, text := range []string{pragmas, schema} {
		if err := conn.Exec(text); err != nil {
			return nil, err
		}
	}
	if s.insertS, _, err = conn.Prepare(insert); err != nil {
		return nil, err
	}
	s.lastS, _, err = conn.Prepare(latest)
	return s, err
}

func (s *ncruces) insert(rows []row) error {
	if err := s.conn.Exec(`BEGIN IMMEDIATE`); err != nil {
		return err
	}
	for _, r := range rows {
		st := s.insertS
		err := errors.Join(st.BindInt64(1, r.channel), st.BindInt64(2, r.number), st.BindText(3, r.id), st.BindBlob(4, r.data))
		if err = errors.Join(err, st.Exec()); err != nil {
			return errors.Join(err, s.conn.Exec(`ROLLBACK`))
		}
	}
	return s.conn.Exec(`COMMIT`)
}

func (s *ncruces) latest(channel int64) (bytes int, err error) {
	if err := s.lastS.BindInt64(1, channel); err != nil {
		return 0, err
	}
	for s.lastS.Step() {
		r := row{number: s.lastS.ColumnInt64(0), id: s.lastS.ColumnText(1), data: s.lastS.ColumnBlob(2, nil)}
		bytes += len(r.data)
	}
	err = s.lastS.Err()
	return bytes, errors.Join(err, s.lastS.Reset())
}

func (s *ncruces) close() error {
	return errors.Join(s.insertS.Close(), s.lastS.Close(), s.conn.Close())
}
