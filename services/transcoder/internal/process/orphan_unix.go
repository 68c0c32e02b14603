//go:build unix

package process

import (
	"errors"
	"syscall"
)

// killOrphan kills the group that pid leads.
func killOrphan(pid int) error {
	err := syscall.Kill(-pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}
