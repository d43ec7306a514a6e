package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// usage is CPU time.
type usage struct{ user, system time.Duration }

func (u usage) minus(v usage) usage { return usage{u.user - v.user, u.system - v.system} }

// tick is the unit of times in /proc: USER_HZ, which is 100 on all platforms that Go runs on.
const tick = time.Second / 100

var errProc = errors.New("malformed")

// cpuOf returns what processes have used, all their threads included, those that have ended too.
func cpuOf(pids []int) (usage, error) {
	var sum usage
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return usage{}, err
		}
		s, err := parseStat(text)
		if err != nil {
			return usage{}, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
		sum.user += s.cpu.user
		sum.system += s.cpu.system
	}
	return sum, nil
}

// stat is what is read of /proc/PID/stat.
type stat struct {
	parent int
	cpu    usage
}

// parseStat reads proc_pid_stat(5). The second field is the name in parentheses, which may itself have blanks and parentheses.
func parseStat(text []byte) (stat, error) {
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	const state = 3 // the number of the first field after the name
	if len(fields) <= 15-state {
		return stat{}, errProc
	}
	number := func(field int) (int, error) { return strconv.Atoi(string(fields[field-state])) }
	parent, err1 := number(4)
	user, err2 := number(14)
	system, err3 := number(15)
	if errors.Join(err1, err2, err3) != nil {
		return stat{}, errProc
	}
	return stat{parent: parent, cpu: usage{time.Duration(user) * tick, time.Duration(system) * tick}}, nil
}

// children returns the processes that a process has started and that run.
func children(pid int) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var found []int
	for _, entry := range entries {
		child, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		text, err := os.ReadFile("/proc/" + entry.Name() + "/stat")
		if err != nil {
			continue // it has ended
		}
		if s, err := parseStat(text); err == nil && s.parent == pid {
			found = append(found, child)
		}
	}
	return found, nil
}

// memory is the resident memory of processes in bytes: now, and the most since resetPeak.
type memory struct{ now, peak int64 }

func memoryOf(pids []int) (memory, error) {
	var sum memory
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return memory{}, err
		}
		m, err := parseStatus(string(text))
		if err != nil {
			return memory{}, fmt.Errorf("/proc/%d/status: %w", pid, err)
		}
		sum.now += m.now
		sum.peak += m.peak
	}
	return sum, nil
}

// parseStatus reads VmRSS and VmHWM, which are in KiB, of proc_pid_status(5).
func parseStatus(text string) (memory, error) {
	var m memory
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, ":")
		if name != "VmRSS" && name != "VmHWM" {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err != nil {
			return memory{}, errProc
		}
		if name == "VmRSS" {
			m.now = kib << 10
		} else {
			m.peak = kib << 10
		}
	}
	if m.now == 0 || m.peak == 0 {
		return memory{}, errProc
	}
	return m, nil
}

// resetPeak has the kernel forget the peak of the resident memory (proc_pid_clear_refs(5)).
func resetPeak(pids []int) error {
	for _, pid := range pids {
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
			return err
		}
	}
	return nil
}

// ownCPU returns what this process, the client, has used.
func ownCPU() (usage, error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return usage{}, fmt.Errorf("getrusage: %w", err)
	}
	return usage{time.Duration(r.Utime.Nano()), time.Duration(r.Stime.Nano())}, nil
}
