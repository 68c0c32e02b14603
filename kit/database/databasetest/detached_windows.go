package databasetest

import (
	"errors"
	"syscall"
)

// detached refuses: the supervisor is a shell script.
func detached(string) (*syscall.SysProcAttr, error) {
	return nil, errors.New("a server is started on Unix only; name one by BACKLOT_TEST_POSTGRES_URL")
}
