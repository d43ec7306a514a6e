package control

import (
	"fmt"
	"os"
	"path/filepath"
)

// maxSocket is the longest path that the kernel takes for a socket, in bytes (unix(7): 108 with the end).
const maxSocket = 100

// short is a path of a socket that the kernel takes. Data directories may be deeper: then it leads by way of an open file,
// until done.
func short(path string) (name string, done func(), err error) {
	if len(path) <= maxSocket {
		return path, func() {}, nil
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path)), func() { _ = dir.Close() }, nil
}
