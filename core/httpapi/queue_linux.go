package httpapi

import (
	"net"

	"golang.org/x/sys/unix"
)

// unacknowledged is how many bytes the kernel holds that the other side has not taken yet (tcp(7), SIOCOUTQ).
func unacknowledged(c *net.TCPConn) (n int64, ok bool) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, false
	}
	err = raw.Control(func(fd uintptr) {
		var held int
		held, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
		n, ok = int64(held), err == nil
	})
	return n, ok && err == nil
}
