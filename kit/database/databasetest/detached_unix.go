//go:build !windows

package databasetest

import (
	"fmt"
	"os"
	"os/user"
	"syscall"
)

// detached makes the server a session of its own. It refuses to run as root:
// then it runs as the user postgres, and the folder becomes theirs.
func detached(dir string) (*syscall.SysProcAttr, error) {
	attributes := &syscall.SysProcAttr{Setsid: true}
	if os.Getuid() != 0 {
		return attributes, nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("the server does not run as root: %w", err)
	}
	var uid, gid uint32
	if _, err := fmt.Sscan(account.Uid+" "+account.Gid, &uid, &gid); err != nil {
		return nil, err
	}
	attributes.Credential = &syscall.Credential{Uid: uid, Gid: gid}
	return attributes, os.Chown(dir, int(uid), int(gid))
}
