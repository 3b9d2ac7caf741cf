package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/ncruces/go-sqlite3"
)

const (
	// backupPages is how many pages are copied between two looks at the context, and
	// copyBytes how many bytes of a file.
	backupPages, copyBytes = 256, 1 << 20
	// backupPause is how long a copy waits that another connection holds up.
	backupPause = 10 * time.Millisecond
)

// Backup writes what the store holds at one moment to a new file, which only its owner
// may read and write, and returns when that is on the disk. Others may read and write
// meanwhile, but the WAL grows until it is done. It fails with an error that wraps
// fs.ErrExist if there is a file at the path; after any error there is none that was not
// there before. On a file system without hard links it appears before it is whole.
//
// To restore, end all processes that use the file, remove its "-wal" and "-shm"
// companions, and put the copy in its place. What was appended after the copy was made is
// then lost, and the epoch that the next Open begins says so.
func (st *Store) Backup(ctx context.Context, path string) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	// A name that is free, so that a backup that ends early is never taken for one.
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	part := f.Name()
	defer func() {
		if removed := os.Remove(part); err == nil || !errors.Is(removed, fs.ErrNotExist) {
			err = errors.Join(err, removed)
		}
	}()
	if err := f.Close(); err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	if err := st.copyTo(ctx, part); err != nil {
		return fmt.Errorf("sqlite: backup to %s: %w", path, err)
	}
	// Unlike a rename neither replaces a file. Some file systems have no links.
	err = st.config.link(part, path)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		err = copyFile(ctx, part, path)
	}
	if err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	return syncFolder(filepath.Dir(path))
}

// copyFile copies a file to a new one, which is removed after an error.
func copyFile(ctx context.Context, from, path string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	for err == nil {
		if err = ctx.Err(); err == nil {
			_, err = io.CopyN(out, in, copyBytes)
		}
	}
	if errors.Is(err, io.EOF) {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// copyTo copies the pages of one moment to an empty file.
func (st *Store) copyTo(ctx context.Context, path string) (err error) {
	select {
	case <-st.ended:
		return ErrClosed
	default:
	}
	conn, err := st.connect()
	if err != nil {
		return st.fileError(err)
	}
	s := newSession(conn)
	defer func() { err = errors.Join(err, s.close()) }()
	if err := conn.Exec(`BEGIN`); err != nil {
		return st.fileError(err)
	}
	// The read that holds the moment.
	if _, _, err := s.newestEpoch(); err != nil {
		return st.fileError(err)
	}
	if path, err = filepath.Abs(path); err != nil {
		return err
	}
	to := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(path)}
	b, err := conn.BackupInit("main", to.String())
	if err != nil {
		return fileError(path, err)
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	for done := false; !done; {
		if err := ctx.Err(); err != nil {
			return err
		}
		switch done, err = b.Step(backupPages); {
		case errors.Is(err, sqlite3.BUSY):
			select {
			case <-time.After(backupPause):
			case <-ctx.Done():
			}
		case err != nil:
			return fileError(path, err)
		}
	}
	return nil
}

// syncFolder has a new name in a folder reach the disk.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	return nil
}
