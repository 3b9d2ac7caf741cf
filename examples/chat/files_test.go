package main

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/examples/chat/internal/media"
	"github.com/carillon-rt/carillon/storage/sqlite"
)

// bring uploads a file for a room.
func (v *visitor) bring(roomID int64, name string, data []byte) file {
	v.site.t.Helper()
	var answer struct{ File file }
	v.must(http.StatusCreated, "POST", roomPath(roomID, "/uploads"), data, &answer, "X-File-Name", url.PathEscape(name))
	return answer.File
}

func (v *visitor) share(roomID int64, name string, data []byte) message {
	v.site.t.Helper()
	return v.post(roomID, object{"message": "", "file_id": v.bring(roomID, name, data).ID})
}

func picture(t *testing.T, w, h int) []byte {
	t.Helper()
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	img.Set(1, 1, color.NRGBA{255, 0, 0, 128})
	var out bytes.Buffer
	require.NoError(t, png.Encode(&out, img))
	return out.Bytes()
}

func (v *visitor) get(path string) (*http.Response, []byte) {
	v.site.t.Helper()
	resp := v.do("GET", path, nil)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	require.NoError(v.site.t, err)
	return resp, data
}

func TestFilesAreSharedWithMembers(t *testing.T) {
	s := newSite(t)
	ann, bob, eve := s.signedIn("Ann"), s.signedIn("Bob"), s.signedIn("Eve")
	private := ann.room(privateRoom, bob)
	f := ann.bring(private.ID, "plan.txt", []byte("step one\n"))
	assert.Equal(t, file{ID: f.ID, Name: "plan.txt", Size: 9, ContentType: "text/plain; charset=utf-8", Kind: "text",
		URL: fmt.Sprintf("/files/%d/plan.txt", f.ID), Preview: "step one\n"}, f)
	bob.refused(http.StatusNotFound, "not_found", "GET", f.URL, nil) // not sent yet
	bob.refused(http.StatusBadRequest, "invalid", "POST", roomPath(private.ID, "/messages"), object{"client_id": "1", "message": "", "file_id": f.ID})
	ann.refused(http.StatusBadRequest, "invalid", "POST", lobbyMessages, object{"client_id": "1", "message": "", "file_id": f.ID})

	m := ann.post(private.ID, object{"message": "here it is", "file_id": f.ID})
	assert.Equal(t, "file", m.Type)
	assert.Equal(t, &f, m.File)
	ann.refused(http.StatusConflict, "conflict", "POST", roomPath(private.ID, "/messages"), object{"client_id": "2", "message": "", "file_id": f.ID})
	resp, data := bob.get(f.URL)
	assert.Equal(t, "step one\n", string(data))
	assert.Equal(t, "attachment; filename=plan.txt", resp.Header.Get("Content-Disposition"))
	assert.Equal(t, "default-src 'none'; sandbox", resp.Header.Get("Content-Security-Policy"))
	eve.refused(http.StatusNotFound, "not_found", "GET", f.URL, nil)
	s.visitor().refused(http.StatusUnauthorized, "signed_out", "GET", f.URL, nil)
	bob.refused(http.StatusNotFound, "not_found", "GET", fmt.Sprintf("/files/%d/thumb", f.ID), nil)

	var page messagePage
	bob.must(http.StatusOK, "GET", roomPath(private.ID, "/messages"), nil, &page)
	said := page.Messages[len(page.Messages)-1]
	assert.Equal(t, "upload: Ann shared plan.txt", said.Action+": "+said.Message)

	ann.must(http.StatusOK, "DELETE", messagePath(m), nil, nil)
	bob.refused(http.StatusNotFound, "not_found", "GET", f.URL, nil)
	_, err := os.Stat(filepath.Join(s.chat.config.data, "files", fileName(f.ID)))
	assert.ErrorIs(t, err, os.ErrNotExist)
}

// TestKilledProgramsLeaveNoFiles starts with what one has left behind in mid-upload.
func TestKilledProgramsLeaveNoFiles(t *testing.T) {
	data := t.TempDir()
	s := newSite(t, func(c *config) { c.data = data })
	ann := s.signedIn("Ann")
	kept := ann.share(lobby, "kept.png", picture(t, 900, 900))
	unsent := ann.bring(lobby, "unsent.txt", []byte("soon"))
	names := func() (names []string) {
		entries, err := os.ReadDir(filepath.Join(data, "files"))
		require.NoError(t, err)
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	want := []string{fileName(kept.File.ID), thumbName(kept.File.ID), fileName(unsent.ID)}
	assert.Equal(t, want, names())
	for _, name := range []string{"upload-123", "77", "77.thumb"} {
		require.NoError(t, os.WriteFile(filepath.Join(data, "files", name), []byte("x"), 0o600))
	}
	long := time.Now().Add(-2 * uploadTimeout)
	require.NoError(t, os.Chtimes(filepath.Join(data, "files", "upload-123"), long, long))
	require.NoError(t, os.WriteFile(filepath.Join(data, "files", "upload-4"), []byte("x"), 0o600))
	require.NoError(t, s.chat.sweepFiles(t.Context()))
	assert.Equal(t, append(want, "upload-4"), names(), "another program may be taking that in")
}

// While a file gets its row and its name, nothing is swept: the row is not to be seen yet.
func TestNothingIsSweptWhileAFileIsKept(t *testing.T) {
	s := newSite(t)
	name := filepath.Join(s.chat.config.data, "files", "1")
	require.NoError(t, s.chat.store.InTx(t.Context(), func(ctx context.Context, tx *sql.Tx) error { // of another program
		_, err := tx.ExecContext(ctx, `INSERT INTO files (room_id, user_id, name, size, stored, content_type, kind, created_at) VALUES (1, 1, 'x', 1, 1, '', '', ?)`, now())
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(name, []byte("x"), 0o600))
		require.ErrorIs(t, s.chat.sweepFiles(ctx), sqlite.ErrInTransaction, "it would wait")
		return nil
	}))
	require.NoError(t, s.chat.sweepFiles(t.Context()))
	assert.FileExists(t, name)
}

// What a change that fails has done besides is undone before the next one gets its IDs.
func TestChangesAreUndoneInTime(t *testing.T) {
	s := newSite(t)
	failed := errors.New("failed")
	undone := false
	err := s.chat.change(t.Context(), "", func(ch *change) error {
		ch.otherwise(func() {
			undone = true
			assert.False(t, s.chat.writing.TryLock(), "nobody else writes yet")
		})
		return failed
	})
	require.ErrorIs(t, err, failed)
	assert.True(t, undone)
	require.NoError(t, s.chat.change(t.Context(), "", func(ch *change) error {
		ch.otherwise(func() { t.Error("undone") })
		return nil
	}))
}

// Whoever is banned in the middle of an upload brings nothing any more.
func TestUploadsEndWithTheSession(t *testing.T) {
	s := newSite(t)
	root, ann := s.invited("Root", "admin"), s.signedIn("Ann")
	folder := filepath.Join(s.chat.config.data, "files")
	body, more := io.Pipe()
	answered := make(chan *http.Response, 1)
	go func() { answered <- ann.do("POST", roomPath(lobby, "/uploads"), body) }()
	_, err := more.Write([]byte("half"))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		entries, err := os.ReadDir(folder)
		return err == nil && len(entries) == 1
	}, 10*time.Second, time.Millisecond)
	root.must(http.StatusNoContent, "PUT", fmt.Sprintf("/api/users/%d/ban", ann.user.ID), nil, nil)
	require.NoError(t, more.Close())
	resp := <-answered
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	assert.Empty(t, left)
}

// TestBrokenOffUploads has the sender stop in the middle, which is no fault of the server.
func TestBrokenOffUploads(t *testing.T) {
	s := newSite(t)
	ann := s.signedIn("Ann")
	address, err := url.Parse(s.url)
	require.NoError(t, err)
	conn, err := net.Dial("tcp", address.Host)
	require.NoError(t, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nCookie: %s\r\nContent-Length: 1000\r\n\r\nhalf of it",
		roomPath(lobby, "/uploads"), address.Host, ann.client.Jar.Cookies(address)[0])
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, http.StatusBadRequest, resp.StatusCode)
	assert.Contains(t, string(body), "cut_off")
	left, err := os.ReadDir(filepath.Join(s.chat.config.data, "files"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestPicturesAreMadeAnew(t *testing.T) {
	s := newSite(t)
	ann := s.signedIn("Ann")
	// Behind the picture there is a page: together they are both.
	polyglot := append(picture(t, 900, 300), []byte("<html><script>alert(1)</script></html>")...)
	m := ann.share(lobby, "holiday.html", polyglot)
	assert.Equal(t, "image", m.Type)
	assert.Equal(t, "holiday.png", m.File.Name)
	assert.Equal(t, [4]int{900, 300, 640, 213}, [4]int{m.File.Width, m.File.Height, m.File.ThumbWidth, m.File.ThumbHeight})
	for _, path := range []string{m.File.URL, m.File.ThumbURL} {
		resp, data := ann.get(path)
		assert.Equal(t, "image/png", resp.Header.Get("Content-Type"), path)
		assert.Equal(t, "nosniff", resp.Header.Get("X-Content-Type-Options"))
		assert.True(t, strings.HasPrefix(resp.Header.Get("Content-Disposition"), "inline"))
		assert.NotContains(t, string(data), "script")
		_, err := png.Decode(bytes.NewReader(data))
		assert.NoError(t, err)
	}
	ann.must(http.StatusOK, "DELETE", messagePath(m), nil, nil)
	left, err := os.ReadDir(filepath.Join(s.chat.config.data, "files"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

// TestNothingUploadedRuns uploads what could run in a page.
func TestNothingUploadedRuns(t *testing.T) {
	s := newSite(t)
	ann := s.signedIn("Ann")
	for name, text := range map[string]string{
		"page.html":      "<!doctype html><script>alert(1)</script>",
		"picture.svg":    `<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>`,
		"data.xml":       `<?xml version="1.0"?><?xml-stylesheet href="x.xsl"?><a/>`,
		"code.js":        "alert(1)",
		"paper.pdf":      "%PDF-1.7\n1 0 obj\xff\x00",
		"program.swf":    "CWS\x09\x00\x00",
		"gif.js":         "GIF9a/*\x00*/=alert(1)",
		"x.mhtml":        "MIME-Version: 1.0\nContent-Type: text/html\n\n<script>",
		"not-really.png": "<html>",
	} {
		m := ann.share(lobby, name, []byte(text))
		assert.Equal(t, "file", m.Type, name)
		resp, data := ann.get(m.File.URL)
		assert.Equal(t, text, string(data))
		assert.True(t, strings.HasPrefix(resp.Header.Get("Content-Disposition"), "attachment"), name)
		assert.Contains(t, []string{"text/plain; charset=utf-8", "application/octet-stream"}, resp.Header.Get("Content-Type"), name)
		assert.Equal(t, "default-src 'none'; sandbox", resp.Header.Get("Content-Security-Policy"), name)
		assert.Equal(t, "nosniff", resp.Header.Get("X-Content-Type-Options"), name)
	}
}

func TestNamesOfFilesLeadNowhere(t *testing.T) {
	s := newSite(t)
	ann := s.signedIn("Ann")
	for name, want := range map[string]string{
		"../../etc/passwd": "passwd", `..\..\windows\x.ini`: "x.ini", "/abs/olute": "olute", "..": "file", "": "file", ".htaccess": "htaccess",
		"a\x00b.txt": "ab.txt", "a\r\nSet-Cookie: x=1": "aSet-Cookie: x=1", "b\u202etxt.exe": "btxt.exe", "Zeitplan für Ärzte.txt": "Zeitplan für Ärzte.txt",
		`"quoted".txt`: `"quoted".txt`, "<img src=x>.txt": "<img src=x>.txt", strings.Repeat("ä", 300) + ".txt": strings.Repeat("ä", 116) + ".txt",
	} {
		m := ann.share(lobby, name, []byte("x"))
		assert.Equal(t, want, m.File.Name, "%q", name)
		resp, data := ann.get(m.File.URL)
		assert.Equal(t, "x", string(data), name)
		assert.Empty(t, resp.Cookies())
	}
	for _, path := range []string{"/files/1/..%2f..%2fkeys.json", "/files/..%2fkeys.json/x", "/files/../keys.json", "/files/1.thumb/x", "/files/0/x", "/files/-1/x", "/files/99/x", "/files/%2e%2e/x"} {
		resp, data := ann.get(path)
		if resp.StatusCode == http.StatusOK { // the name after the ID is for people only
			assert.Equal(t, "x", string(data), path)
		}
		assert.NotContains(t, string(data), "PushPrivate", path)
	}
}

func TestUploadsAreBounded(t *testing.T) {
	s := newSite(t, func(c *config) { c.maxUpload, c.userQuota, c.totalQuota = 1000, 2500, 4000 })
	ann, bob := s.signedIn("Ann"), s.signedIn("Bob")
	uploads := roomPath(lobby, "/uploads")
	p := ann.refused(http.StatusBadRequest, "invalid", "POST", uploads, "")
	assert.Equal(t, "That file is empty.", p.Message)
	ann.refused(http.StatusRequestEntityTooLarge, "too_large", "POST", uploads, strings.Repeat("x", 1001))
	ann.refused(http.StatusNotFound, "not_found", "POST", roomPath(99, "/uploads"), "x")

	full := bytes.Repeat([]byte("x"), 1000)
	first := ann.bring(lobby, "1", full)
	ann.bring(lobby, "2", full)
	p = ann.refused(http.StatusRequestEntityTooLarge, "quota", "POST", uploads, full)
	assert.Contains(t, p.Message, "2 KB")
	bob.bring(lobby, "3", full)
	bob.bring(lobby, "4", full)
	bob.refused(http.StatusRequestEntityTooLarge, "quota", "POST", uploads, "x")
	bob.refused(http.StatusNotFound, "not_found", "DELETE", fmt.Sprintf("/api/uploads/%d", first.ID), nil)
	ann.must(http.StatusNoContent, "DELETE", fmt.Sprintf("/api/uploads/%d", first.ID), nil, nil)
	ann.refused(http.StatusNotFound, "not_found", "DELETE", fmt.Sprintf("/api/uploads/%d", first.ID), nil)
	ann.bring(lobby, "5", full)

	_, err := s.chat.db.Exec(`UPDATE files SET created_at = 1`)
	require.NoError(t, err)
	ann.bring(lobby, "6", full)
	left, err := os.ReadDir(filepath.Join(s.chat.config.data, "files"))
	require.NoError(t, err)
	assert.Len(t, left, 1, "what was never sent is gone after a day")
}

func TestBombsAreRefused(t *testing.T) {
	s := newSite(t)
	ann := s.signedIn("Ann")
	var bomb bytes.Buffer
	require.NoError(t, png.Encode(&bomb, image.NewPaletted(image.Rect(0, 0, 12_000, 4_000), color.Palette{color.Black})))
	require.Less(t, bomb.Len(), 1<<20)
	p := ann.refused(http.StatusUnsupportedMediaType, "unsupported", "POST", roomPath(lobby, "/uploads"), bomb.Bytes())
	assert.Equal(t, "That picture is too large to show: 12000 × 4000 pixels, and 40 million fit.", p.Message)
	broken := picture(t, 50, 50)
	ann.refused(http.StatusUnsupportedMediaType, "unsupported", "POST", roomPath(lobby, "/uploads"), broken[:len(broken)/2])
	left, err := os.ReadDir(filepath.Join(s.chat.config.data, "files"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

func FuzzUploadName(f *testing.F) {
	f.Add("a/b.txt")
	f.Add("%2e%2e%2f\x00")
	f.Fuzz(func(t *testing.T, header string) {
		name := uploadName(header, &media.File{Kind: media.Other})
		assert.NotEmpty(t, name)
		assert.NotContains(t, name, "/")
		assert.NotContains(t, name, "\\")
		assert.NotEqual(t, byte('.'), name[0])
		assert.LessOrEqual(t, len([]rune(name)), maxFileName)
	})
}
