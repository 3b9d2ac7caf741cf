package sqlite

import (
	"errors"
	"sync"
	"syscall"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"
)

// spaceVFS is a VFS that tells SQLite when a disk, a quota or a limit of the process
// has no room for more: that of the driver says that writing failed, and no more. It
// takes files from another.
type spaceVFS struct{ vfs.VFS }

// spaceName is the name under which stores use it.
const spaceName = "carillon"

var registerSpace = sync.OnceFunc(func() { vfs.Register(spaceName, spaceVFS{vfs.Find("os")}) })

// Open implements vfs.VFS. It is not called where there is OpenFilename.
func (v spaceVFS) Open(string, vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	return nil, 0, sqlite3.CANTOPEN
}

// OpenFilename implements vfs.VFSFilename.
func (v spaceVFS) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	f, flags, err := v.VFS.(vfs.VFSFilename).OpenFilename(name, flags)
	if err != nil {
		return nil, flags, noRoom(err)
	}
	return spaceFile{f}, flags, nil
}

type spaceFile struct{ vfs.File }

// WriteAt implements vfs.File.
func (f spaceFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(p, off)
	return n, noRoom(err)
}

// Truncate implements vfs.File.
func (f spaceFile) Truncate(size int64) error { return noRoom(f.File.Truncate(size)) }

// Sync implements vfs.File. Some file systems find room as late as this.
func (f spaceFile) Sync(flags vfs.SyncFlag) error { return noRoom(f.File.Sync(flags)) }

// What follows forwards what SQLite asks of a file in WAL mode besides.

func (f spaceFile) Unwrap() vfs.File { return f.File }

func (f spaceFile) SharedMemory() vfs.SharedMemory {
	return f.File.(vfs.FileSharedMemory).SharedMemory()
}

func (f spaceFile) LockState() vfs.LockLevel { return f.File.(vfs.FileLockState).LockState() }

// noRoom marks an error of the operating system that says that there is none.
func noRoom(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG) {
		return vfs.SystemError(err, sqlite3.FULL)
	}
	return err
}
