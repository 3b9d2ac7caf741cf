package sqlite

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// recorder keeps what the files of a disk have if its power fails: what was synced for
// sure, and what was changed since then perhaps.
type recorder struct {
	mu    sync.Mutex
	files map[string]*recordedFile // guarded by mu; by diskOp.file
	// changed is called after every change, with mu held.
	changed func()
}

type recordedFile struct {
	synced  []byte
	pending []diskOp // since the last sync
	syncing int      // how many of them the sync covers that is under way
	syncs   int
}

// record has a recorder follow what happens on a disk.
func record(d *disk) *recorder {
	r := &recorder{files: map[string]*recordedFile{"db": {}, "wal": {}}}
	before := func(op diskOp) error {
		if f := r.files[op.file]; f != nil && op.kind == "sync" {
			r.mu.Lock()
			defer r.mu.Unlock()
			f.syncing = len(f.pending)
		}
		return nil
	}
	after := func(op diskOp) {
		f := r.files[op.file]
		if f == nil {
			return // the index of the WAL is made anew, and a journal is for the first opening only
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if op.kind == "sync" {
			for _, p := range f.pending[:f.syncing] {
				f.synced = p.apply(f.synced)
			}
			f.pending, f.syncing, f.syncs = slices.Delete(f.pending, 0, f.syncing), 0, f.syncs+1
		} else {
			op.data = bytes.Clone(op.data)
			f.pending = append(f.pending, op)
		}
		if r.changed != nil {
			r.changed()
		}
	}
	d.fault.Store(&before)
	d.done.Store(&after)
	return r
}

// apply does what op does to a file.
func (op diskOp) apply(file []byte) []byte {
	end := op.at + int64(len(op.data))
	if grow := end - int64(len(file)); grow > 0 {
		file = append(file, make([]byte, grow)...)
	}
	switch op.kind {
	case "truncate":
		return file[:op.at]
	case "delete":
		return nil
	}
	copy(file[op.at:], op.data)
	return file
}

// image is what a disk has after its power has failed.
type image map[string][]byte

// sector is what a disk writes whole.
const sector = 512

// image returns what was synced, and of what was not those sectors that random chooses;
// none if random is nil. mu is held.
func (r *recorder) image(random *rand.Rand) image {
	img := make(image)
	for name, f := range r.files {
		data := bytes.Clone(f.synced)
		if random != nil {
			for _, op := range f.pending {
				data = op.torn(data, random)
			}
		}
		img[name] = data
	}
	return img
}

// torn does a part of what op does to a file, all, or nothing.
func (op diskOp) torn(file []byte, random *rand.Rand) []byte {
	switch random.IntN(3) {
	case 0:
		return file
	case 1:
		return op.apply(file)
	}
	if op.kind != "write" {
		return file
	}
	for start := 0; start < len(op.data); {
		// Up to the end of the sector on the disk.
		end := min(len(op.data), start+sector-int(op.at+int64(start))%sector)
		if random.IntN(2) == 0 {
			file = diskOp{kind: "write", at: op.at + int64(start), data: op.data[start:end]}.apply(file)
		}
		start = end
	}
	return file
}

// open opens a store on the image.
func (img image) open(t testing.TB) *Store {
	t.Helper()
	path := filepath.Join(t.TempDir(), "carillon.db")
	require.NoError(t, os.WriteFile(path, img["db"], 0o600))
	if len(img["wal"]) > 0 {
		require.NoError(t, os.WriteFile(path+"-wal", img["wal"], 0o600))
	}
	st, err := Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	return st
}
