package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// TestMain also makes the test binary a server process, as the command is one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == serveArgument {
		if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// Every peer delivers everything, paced, in a burst, and with compression and
// TLS where it is measured with them.
func TestEveryPeerDeliversEverything(t *testing.T) {
	const conns, events = 20, 10
	for _, peer := range peerNames() {
		variants := map[string]serverOptions{"plain": {}}
		if peer == centrifugePeer || peer == carillonPeer {
			variants["TLS"] = serverOptions{tls: true}
			variants["deflate"] = serverOptions{deflate: true}
		}
		for name, o := range variants {
			t.Run(peer+" "+name, func(t *testing.T) {
				for _, channels := range []int{1, conns} {
					r, err := newRig(peer, o, loadOptions{conns: conns, channels: channels, latency: channels == 1})
					require.NoError(t, err)
					for _, rate := range []float64{500, 0} {
						got, err := r.publish(command{Count: events, Rate: rate, Channels: channels})
						require.NoError(t, err)
						require.EqualValues(t, events*conns/channels, got.deliveries)
						require.Zero(t, got.lost)
						require.Positive(t, got.cpu)
					}
					if channels == 1 {
						require.Positive(t, r.late.Quantile(0.5))
					}
					require.Zero(t, r.ended.Load())
					require.NoError(t, r.close())
				}
			})
		}
	}
}

func TestPresence(t *testing.T) {
	for _, peer := range fullPeers() {
		t.Run(peer, func(t *testing.T) {
			e := &env{quick: true, log: io.Discard}
			metrics, err := e.connects(peer, true, "")
			require.NoError(t, err)
			require.Len(t, metrics, 2)
		})
	}
}

// A whole quick run writes a report with a line for each peer.
func TestQuickRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "RESULTS.md")
	err := run([]string{"-quick", "-rounds", "2", "-scenarios", "3,6,8", "-peers", "floor,carillon", "-out", path},
		nil, io.Discard)
	require.NoError(t, err)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	for _, want := range []string{"## 3. ", "## 6. ", "## 8. ", "| floor | ", "| carillon | ", "÷ floor", "| Go | go",
		"KiB/connection ≤ 8 | ", "3-carillon\nDuration:"} {
		require.Contains(t, string(text), want)
	}
	require.NotContains(t, string(text), "Failed")
}

// What only Carillon is measured by has a row for each case.
func TestCases(t *testing.T) {
	for _, s := range []scenario{rulesScenario(), floodScenario()} {
		t.Run(s.title, func(t *testing.T) {
			e := &env{quick: true, peers: []string{carillonPeer}, log: io.Discard}
			rows, err := s.run(e)
			require.NoError(t, err)
			r := newResults(s)
			r.add(rows)
			for _, g := range s.goals {
				require.Positive(t, g.figure(r), g.String())
			}
			e.peers = []string{floorPeer}
			rows, err = s.run(e)
			require.NoError(t, err)
			require.Empty(t, rows)
		})
	}
}

func TestOptionsThatAreNotValid(t *testing.T) {
	for _, args := range [][]string{
		{"-scenarios", "0"}, {"-scenarios", "13"}, {"-scenarios", "x"}, {"-peers", "nobody"}, {"-rounds", "0"}, {"more"},
		{serveArgument, "-peer", "nobody"}, {serveArgument, "-peer", floorPeer, "-deflate"},
	} {
		require.Error(t, run(args, nil, io.Discard), "%q", args)
	}
}

func TestTheReportKeepsWhatOthersHaveMeasured(t *testing.T) {
	path := filepath.Join(t.TempDir(), "RESULTS.md")
	require.NoError(t, write(path, "first\n"))
	require.NoError(t, os.WriteFile(path, []byte("first\n"+apart+"\nby hand\n"), 0o600))
	require.NoError(t, write(path, "second\n"))
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "second\n"+apart+"\nby hand\n", string(got))
}
