package sqlite

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/storage"
)

// childEnv has the test's own program run as child, on the file that it names.
const childEnv = "CARILLON_TEST_CHILD"

const childApp = "app"

// childRequest is a line that a child reads: an event to be published.
type childRequest struct {
	Channel, Key, Data string
	// Tx publishes it in a transaction that writes it to the table note as well.
	Tx bool
}

// childAnswer is a line that a child writes: an event that is acknowledged.
type childAnswer struct {
	Key       string
	Position  storage.Position
	Duplicate bool
	Err       string
}

// child is a program with a broker on a file, which publishes what it is asked to.
func child(path string, in io.Reader, out io.Writer) error {
	st, err := Open(path)
	if err != nil {
		return err
	}
	ctx := context.Background()
	if _, err := st.DB().ExecContext(ctx, `CREATE TABLE IF NOT EXISTS note (text TEXT)`); err != nil {
		return err
	}
	b, err := broker.New(broker.WithHistory(st), broker.WithChannelRules(
		broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: 1 << 20}}))
	if err != nil {
		return err
	}
	var mu sync.Mutex
	answers := json.NewEncoder(out)
	var publishing sync.WaitGroup
	requests := json.NewDecoder(in)
	for {
		var r childRequest
		if err := requests.Decode(&r); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		publishing.Go(func() {
			a, err := r.publish(ctx, st, b.App(childApp))
			if a.Key = r.Key; err != nil {
				a.Err = err.Error()
			}
			mu.Lock()
			defer mu.Unlock()
			_ = answers.Encode(a)
		})
	}
	publishing.Wait()
	return errors.Join(b.Shutdown(ctx), st.Close())
}

func (r *childRequest) publish(ctx context.Context, st *Store, app *broker.App) (a childAnswer, err error) {
	if !r.Tx {
		out, err := app.Publish(ctx, r.Channel, "message", []byte(r.Data), broker.IdempotencyKey(r.Key))
		return childAnswer{Position: out.Position, Duplicate: out.Duplicate}, err
	}
	p, err := app.Prepare(ctx, r.Channel, "message", []byte(r.Data), broker.IdempotencyKey(r.Key))
	if err != nil {
		return a, err
	}
	return a, st.InTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		out, err := st.AppendTx(ctx, tx, p)
		if err != nil {
			return err
		}
		if a.Position, a.Duplicate = out[0].Position, out[0].Duplicate; a.Duplicate {
			return nil
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO note VALUES (?)`, r.Data)
		return err
	})
}

// childProcess is a child, seen from the test.
type childProcess struct {
	cmd *exec.Cmd

	writing sync.Mutex
	stdin   io.WriteCloser // guarded by writing

	mu      sync.Mutex
	waiting map[string]chan childAnswer // guarded by mu; nil once there is nobody to answer
	read    chan struct{}               // closed then
}

func startChild(t testing.TB, path string) *childProcess {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	c := &childProcess{cmd: exec.CommandContext(t.Context(), self), waiting: make(map[string]chan childAnswer), read: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), childEnv+"="+path)
	c.cmd.Stderr = os.Stderr
	c.stdin, err = c.cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := c.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.cmd.Start())
	go c.readAnswers(stdout)
	return c
}

// readAnswers hands answers to those who wait, until there are no more. The last line
// of a child that was killed may be cut.
func (c *childProcess) readAnswers(stdout io.Reader) {
	defer close(c.read)
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		var a childAnswer
		if json.Unmarshal(lines.Bytes(), &a) != nil {
			break
		}
		c.mu.Lock()
		c.waiting[a.Key] <- a
		delete(c.waiting, a.Key)
		c.mu.Unlock()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.waiting {
		close(w)
	}
	c.waiting = nil
}

// publish asks for an event to be published. It reports whether that was acknowledged;
// if not, the child has ended.
func (c *childProcess) publish(r childRequest) (childAnswer, bool, error) {
	answer := make(chan childAnswer, 1)
	c.mu.Lock()
	if c.waiting == nil {
		c.mu.Unlock()
		return childAnswer{}, false, nil
	}
	c.waiting[r.Key] = answer
	c.mu.Unlock()
	c.writing.Lock()
	_ = json.NewEncoder(c.stdin).Encode(r) // fails if the child has ended
	c.writing.Unlock()
	a, ok := <-answer
	if ok && a.Err != "" {
		return a, false, fmt.Errorf("publishing %s: %s", r.Key, a.Err)
	}
	return a, ok, nil
}

// kill ends the child as kill -9 does.
func (c *childProcess) kill(t testing.TB) {
	t.Helper()
	require.NoError(t, c.cmd.Process.Kill())
	<-c.read
	require.Error(t, c.cmd.Wait())
}

// stop lets the child end in order.
func (c *childProcess) stop(t testing.TB) {
	t.Helper()
	c.writing.Lock()
	require.NoError(t, c.stdin.Close())
	c.writing.Unlock()
	<-c.read
	require.NoError(t, c.cmd.Wait())
}
