package bench

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// serverOf returns the process of this machine that listens on an address, or 0.
func serverOf(address string) int {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return 0
	}
	sockets := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			const listening = "0A"
			if len(fields) > 9 && fields[3] == listening && strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", at.Port())) {
				sockets["socket:["+fields[9]+"]"] = true
			}
		}
	}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the pattern is a good one
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && sockets[target] {
			// The first process holds sockets for others.
			if pid, err := strconv.Atoi(strings.Split(link, "/")[2]); err == nil && pid != 1 {
				return pid
			}
		}
	}
	return 0
}

// memoryOf is the resident memory of a process in bytes; 0 where it is not known.
func memoryOf(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if fields := strings.Fields(string(text)); err == nil && len(fields) > 1 {
		pages, _ := strconv.ParseInt(fields[1], 10, 64) // the kernel wrote it
		return pages * int64(os.Getpagesize())
	}
	return 0
}

// timeOf is the processor time of a process, if it is known.
func timeOf(pid int) (spent time.Duration, known bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	// What follows the program's name, which may hold anything.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	const user, system = 11, 12
	if len(fields) <= system {
		return 0, false
	}
	u, _ := strconv.ParseInt(fields[user], 10, 64)   // the kernel wrote them
	s, _ := strconv.ParseInt(fields[system], 10, 64) // in hundredths
	return time.Duration(u+s) * 10 * time.Millisecond, true
}
