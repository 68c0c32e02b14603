//go:build !linux

package tcc

import (
	"errors"
	"syscall"
)

var errLinux = errors.New("it needs Linux: network namespaces and /proc")

func isolated() (*syscall.SysProcAttr, error) { return nil, errLinux }

func loopbackUp() error { return errLinux }

func diesWithUs() *syscall.SysProcAttr { return nil }

func asUser(_, _ uint32) *syscall.SysProcAttr { return nil }
