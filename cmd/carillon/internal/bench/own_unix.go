//go:build unix

package bench

import (
	"fmt"
	"syscall"
	"time"
)

// ownTime is the processor time of this process.
func ownTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// roomFor returns an error unless this process may open so many connections. Go has raised
// the limit as far as it may be.
func roomFor(connections int) error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	const others = 64
	if uint64(connections+others) > uint64(l.Cur) { //nolint:unconvert // signed on some systems
		return fmt.Errorf("-clients %d: this process may open %d files, see ulimit -n", connections, l.Cur)
	}
	return nil
}
