package sqlite

import (
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"
)

// disk is a VFS over that of the operating system, in which a test can have things go
// wrong. A store opens its files through it with the option onDisk.
type disk struct {
	vfs.VFS
	name string
	// fault is asked before everything that changes a file, and may fail it.
	fault atomic.Pointer[func(diskOp) error]
	// done is told of what has changed a file.
	done atomic.Pointer[func(diskOp)]
}

// diskOp is something that changes a file.
type diskOp struct {
	kind string // "write", "sync", "truncate", "delete"
	file string // "db", "wal", "shm" or "journal"
	// at is where is written, or the size to be truncated to.
	at   int64
	data []byte // what is written
}

var disks atomic.Int64

func newDisk(t testing.TB) *disk {
	d := &disk{VFS: vfs.Find("os"), name: "disk" + strconv.FormatInt(disks.Add(1), 10)}
	vfs.Register(d.name, spaceVFS{d})
	t.Cleanup(func() { vfs.Unregister(d.name) })
	return d
}

// onDisk opens the files through a disk.
func onDisk(d *disk) Option {
	return func(c *config) error {
		c.vfs = d.name
		return nil
	}
}

// fail has everything fail for which f returns an error.
func (d *disk) fail(f func(diskOp) error) { d.fault.Store(&f) }

// heal ends that.
func (d *disk) heal() { d.fault.Store(nil) }

var errPowerCut = sqlite3.IOERR

// cut has nothing reach the files any more, as if the process had been killed.
func (d *disk) cut() { d.fail(func(diskOp) error { return errPowerCut }) }

// do does op with a file, unless that is to fail.
func (d *disk) do(op diskOp, name string, f func() error) error {
	op.file = "db"
	for _, companion := range []string{"wal", "shm", "journal"} {
		if strings.HasSuffix(name, "-"+companion) {
			op.file = companion
		}
	}
	if fault := d.fault.Load(); fault != nil {
		if err := (*fault)(op); err != nil {
			return err
		}
	}
	err := f()
	if done := d.done.Load(); err == nil && done != nil {
		(*done)(op)
	}
	return err
}

func (d *disk) Open(name string, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	return nil, 0, errors.New("OpenFilename is called instead")
}

func (d *disk) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	f, flags, err := d.VFS.(vfs.VFSFilename).OpenFilename(name, flags)
	if err != nil {
		return nil, flags, err
	}
	return &diskFile{File: f, disk: d, name: name.String()}, flags, nil
}

func (d *disk) Delete(name string, syncDir bool) error {
	return d.do(diskOp{kind: "delete"}, name, func() error { return d.VFS.Delete(name, syncDir) })
}

type diskFile struct {
	vfs.File
	disk *disk
	name string
}

func (f *diskFile) WriteAt(p []byte, off int64) (n int, err error) {
	err = f.disk.do(diskOp{kind: "write", at: off, data: p}, f.name, func() (err error) {
		n, err = f.File.WriteAt(p, off)
		return err
	})
	return n, err
}

func (f *diskFile) Sync(flags vfs.SyncFlag) error {
	return f.disk.do(diskOp{kind: "sync"}, f.name, func() error { return f.File.Sync(flags) })
}

func (f *diskFile) Truncate(size int64) error {
	return f.disk.do(diskOp{kind: "truncate", at: size}, f.name, func() error { return f.File.Truncate(size) })
}

func (f *diskFile) Unwrap() vfs.File { return f.File }

func (f *diskFile) SharedMemory() vfs.SharedMemory {
	return f.File.(vfs.FileSharedMemory).SharedMemory()
}

func (f *diskFile) LockState() vfs.LockLevel { return f.File.(vfs.FileLockState).LockState() }

// fullDisk, brokenDisk and readOnlyDisk are options for files on a disk that is so.

func fullDisk(t testing.TB) Option {
	return faulty(t, func(op diskOp) error { return only(op, "write", syscall.ENOSPC) })
}

func brokenDisk(t testing.TB) Option {
	return faulty(t, func(diskOp) error { return sqlite3.IOERR })
}

func readOnlyDisk(t testing.TB) Option {
	return faulty(t, func(op diskOp) error { return only(op, "write", sqlite3.READONLY) })
}

func faulty(t testing.TB, fault func(diskOp) error) Option {
	d := newDisk(t)
	d.fail(fault)
	return onDisk(d)
}

func only(op diskOp, kind string, err error) error {
	if op.kind == kind {
		return err
	}
	return nil
}
