//go:build !linux

package pressure

import "os/exec"

func prefer() (restore func()) { return func() {} }

func startOrdinary(cmd *exec.Cmd) error { return cmd.Start() }
