package transport

import (
	"bytes"
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
)

// unknownMemory is taken for the memory of a machine that does not tell.
const unknownMemory = 4 << 30

// memory is how many bytes this process may use: what the program has told the
// runtime, or what there is, in the container or else the machine.
func memory() int64 {
	if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64 {
		return limit
	}
	if size := memoryIn("/"); size > 0 {
		return size
	}
	return unknownMemory
}

// memoryIn asks Linux, whose files lie under root; 0 is unknown.
func memoryIn(root string) int64 {
	least := int64(math.MaxInt64)
	number := func(text []byte, unit int64) {
		if n, err := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64); err == nil && n > 0 && n <= math.MaxInt64/unit {
			least = min(least, n*unit)
		}
	}
	info, _ := os.ReadFile(path.Join(root, "proc/meminfo"))
	for line := range bytes.Lines(info) {
		if kilobytes, ok := bytes.CutPrefix(line, []byte("MemTotal:")); ok {
			number(bytes.TrimSuffix(bytes.TrimSpace(kilobytes), []byte(" kB")), 1<<10)
		}
	}
	// A group is bounded by those that it is part of. Version 1 has one for memory
	// only; a file that is not there, or says "max", is no bound.
	groups, _ := os.ReadFile(path.Join(root, "proc/self/cgroup"))
	for line := range bytes.Lines(groups) {
		fields := bytes.SplitN(bytes.TrimSpace(line), []byte(":"), 3)
		if len(fields) != 3 {
			continue
		}
		folder, file := "sys/fs/cgroup", "memory.max"
		if string(fields[1]) == "memory" {
			folder, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		} else if len(fields[1]) > 0 {
			continue
		}
		for group := path.Join("/", string(fields[2])); ; group = path.Dir(group) {
			text, _ := os.ReadFile(path.Join(root, folder, group, file))
			number(text, 1)
			if group == "/" {
				break
			}
		}
	}
	if least == math.MaxInt64 {
		return 0
	}
	return least
}
