//go:build unix

package websocket

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/transport"
)

const (
	loadAddress = "CARILLON_LOAD_ADDRESS"
	loadConns   = "CARILLON_LOAD_CONNS"

	benchConns   = 1000
	benchPayload = 100
)

// TestLoadClient is the other process of the benchmarks: it opens connections
// and counts what comes in, until its standard input ends.
func TestLoadClient(t *testing.T) {
	address := os.Getenv(loadAddress)
	if address == "" {
		t.Skip("only run by the benchmarks")
	}
	n, err := strconv.Atoi(os.Getenv(loadConns))
	require.NoError(t, err)
	var received atomic.Int64
	for range n {
		nc := dialRaw(t, address, "")
		_, err := nc.Write([]byte("\x81\x85\x00\x00\x00\x00hello"))
		require.NoError(t, err)
		go func() {
			buf := make([]byte, 4<<10)
			for {
				n, err := nc.Read(buf)
				if err != nil {
					return
				}
				received.Add(int64(n))
			}
		}()
	}
	fmt.Println("ready")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		want, err := strconv.ParseInt(in.Text(), 10, 64)
		require.NoError(t, err)
		for deadline := time.Now().Add(time.Minute); received.Load() < want && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		fmt.Println("received", received.Load())
	}
	os.Exit(0)
}

// load is a server with connections from another process.
type load struct {
	b      *testing.B
	server *Server
	conns  []*conn
	stdin  interface{ Write([]byte) (int, error) }
	out    *bufio.Scanner
	total  int64
}

func newLoad(b *testing.B, conns int, opts ...Option) *load {
	f := newFixture(b, opts...)
	l := &load{b: b}
	cmd := exec.Command(os.Args[0], "-test.run=^TestLoadClient$", "-test.v")
	cmd.Env = append(os.Environ(), loadAddress+"="+f.http.Listener.Addr().String(), loadConns+"="+strconv.Itoa(conns))
	stdin, err := cmd.StdinPipe()
	require.NoError(b, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	b.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	l.stdin, l.out, l.server = stdin, bufio.NewScanner(stdout), f.server
	l.await("ready")
	for range conns {
		l.conns = append(l.conns, (<-f.made).conn.(*conn))
	}
	// Every connection has received something, and sent it back.
	l.total = int64(conns * len("..hello"))
	l.arrived()
	return l
}

// arrived waits until the other process has received all.
func (l *load) arrived() {
	_, err := fmt.Fprintln(l.stdin, l.total)
	require.NoError(l.b, err)
	require.Equal(l.b, strconv.FormatInt(l.total, 10), l.await("received"))
}

func (l *load) await(word string) string {
	for l.out.Scan() {
		if rest, ok := strings.CutPrefix(l.out.Text(), word); ok {
			return strings.TrimSpace(rest)
		}
	}
	l.b.Fatal("the load process has ended")
	return ""
}

// measure runs publish b.N times, the given time apart, until all has arrived.
func (l *load) measure(apart time.Duration, publish func(m *transport.Message)) {
	b := l.b
	payload := []byte(strings.Repeat("x", benchPayload))
	frame := len(transport.NewMessage(payload).In(textFrames))
	runtime.GC()
	before := cpuTime(b)
	b.ResetTimer()
	next := time.Now()
	for range b.N {
		if apart > 0 {
			time.Sleep(time.Until(next))
			next = next.Add(apart)
		}
		publish(transport.NewMessage(payload))
	}
	l.total += int64(b.N * len(l.conns) * frame)
	l.arrived()
	b.StopTimer()
	deliveries := float64(b.N * len(l.conns))
	b.ReportMetric(deliveries/b.Elapsed().Seconds(), "deliveries/s")
	b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/1e3/deliveries, "cpu-µs/delivery")
	b.ReportMetric(0, "ns/op")
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkFanOut publishes to 1 000 connections from another process: paced, at
// 33 publishes a second, and as fast as it goes. BareWrites is what a loop of
// one system call for each delivery costs, and Portable what it costs
// to write with goroutines, as for TLS.
func BenchmarkFanOut(b *testing.B) {
	for _, pace := range []struct {
		name  string
		apart time.Duration
	}{{"Paced", 30 * time.Millisecond}, {"Burst", 0}} {
		fanOut := func(opts ...Option) func(b *testing.B) {
			return func(b *testing.B) {
				l := newLoad(b, benchConns, opts...)
				l.measure(pace.apart, func(m *transport.Message) {
					for _, c := range l.conns {
						if err := c.Send(m); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
		b.Run(pace.name, fanOut())
		b.Run(pace.name+"Portable", fanOut(portable))
		b.Run(pace.name+"BareWrites", func(b *testing.B) {
			l := newLoad(b, benchConns)
			l.measure(pace.apart, func(m *transport.Message) {
				for _, c := range l.conns {
					if _, err := c.nc.Write(m.In(textFrames)); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

// BenchmarkIdle reports what a connection holds that has nothing to do, after it
// has received and sent a message. Kernel memory is not in it.
func BenchmarkIdle(b *testing.B) {
	const conns = 5000
	used := func() float64 {
		for range 5 { // stacks shrink by half in each
			runtime.GC()
		}
		debug.FreeOSMemory()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapInuse + m.StackInuse)
	}
	before := used()
	goroutines := runtime.NumGoroutine()
	l := newLoad(b, conns)
	b.ReportMetric((used()-before)/conns, "B/conn")
	b.ReportMetric(float64(runtime.NumGoroutine()-goroutines)/conns, "goroutines/conn")
	b.ReportMetric(0, "ns/op")
	runtime.KeepAlive(l)
}
