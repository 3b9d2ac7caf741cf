package main

import (
	"context"
	"database/sql"
	"errors"

	"modernc.org/sqlite"
)

// modernc is modernc.org/sqlite, which is used through database/sql.
type modernc struct {
	db             *sql.DB
	conn           *sql.Conn
	insertS, lastS *sql.Stmt
}

func openModernc(path string) (session, error) {
	// What the other driver, and SQLite on Linux, does.
	if _, err := sqlite.Fdatasync(true); err != nil && !errors.Is(err, sqlite.ErrFdatasyncUnavailable) {
		return nil, err
	}
	ctx := context.Background()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return nil, err
	}
	s := &modernc{db: db}
	if s.conn, err = db.Conn(ctx); err != nil {
		return nil, err
	}
	for _, text := range []string{pragmas, schema} {
		if _, err := s.conn.ExecContext(ctx, text); err != nil {
			return nil, err
		}
	}
	if s.insertS, err = s.conn.PrepareContext(ctx, insert); err != nil {
		return nil, err
	}
	s.lastS, err = s.conn.PrepareContext(ctx, latest)
	return s, err
}

func (s *modernc) insert(rows []row) error {
	tx, err := s.conn.BeginTx(context.Background(), nil)
	if err != nil {
		return err
	}
	stmt := tx.Stmt(s.insertS)
	for _, r := range rows {
		if _, err := stmt.Exec(r.channel, r.number, r.id, r.data); err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	return tx.Commit()
}

func (s *modernc) latest(channel int64) (bytes int, err error) {
	rows, err := s.lastS.Query(channel)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.number, &r.id, &r.data); err != nil {
			return 0, err
		}
		bytes += len(r.data)
	}
	return bytes, rows.Err()
}

func (s *modernc) close() error {
	return errors.Join(s.insertS.Close(), s.lastS.Close(), s.conn.Close(), s.db.Close())
}
