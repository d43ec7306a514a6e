package file

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// bootID names the time since the machine was started.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// space is how many bytes an unprivileged writer can add to the file system that path is on.
func space(path string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, os.NewSyscallError("statfs", err)
	}
	return int64(st.Bavail) * st.Bsize, nil
}

// lockAlone takes an exclusive lock; false when somebody else holds one, or the file system has no locks.
func lockAlone(f *os.File) bool {
	return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil
}

// lockShared takes a shared lock, in place of an exclusive one if that is held. It waits for somebody else's exclusive lock, which is
// short. The lock ends when the file is closed.
func lockShared(f *os.File) {
	for unix.Flock(int(f.Fd()), unix.LOCK_SH) == unix.EINTR {
	}
}

// startWriteBack asks the kernel to begin writing the range to the medium, and doesn't wait for it. It is a hint: what counts is the sync.
func startWriteBack(f *os.File, offset, n int64) {
	_ = unix.SyncFileRange(int(f.Fd()), offset, n, unix.SYNC_FILE_RANGE_WRITE)
}

// renameNew renames a file, or fails with fs.ErrExist when there is one with the new name.
func renameNew(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ENOTSUP) { // some file systems don't know it
		return renameIfNone(from, to)
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}
