package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// group is a job object: the system kills all in it when its last handle
// closes, also when this process is killed.
type group struct {
	job     windows.Handle
	process windows.Handle
}

func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP}
}

func startGroup(cmd *exec.Cmd) (*group, error) {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return nil, fmt.Errorf("create job object: %w", err)
	}
	limits := windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION{}
	limits.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
	_, err = windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation, uintptr(unsafe.Pointer(&limits)), uint32(unsafe.Sizeof(limits)))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("limit job object: %w", err), windows.CloseHandle(job))
	}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, windows.CloseHandle(job))
	}
	g := &group{job: job}
	const access = windows.PROCESS_SET_QUOTA | windows.PROCESS_TERMINATE | windows.SYNCHRONIZE
	if g.process, err = windows.OpenProcess(access, false, uint32(cmd.Process.Pid)); err == nil {
		err = windows.AssignProcessToJobObject(job, g.process)
	}
	if err != nil {
		err = errors.Join(fmt.Errorf("put child into job object: %w", err), cmd.Process.Kill())
		_ = cmd.Wait()
		g.close()
		return nil, err
	}
	return g, nil
}

// terminate ends the group at once: Windows has no request that a child
// without a console would see, and a partial output is thrown away anyhow.
func (g *group) terminate() { g.kill() }

func (g *group) kill() { _ = windows.TerminateJobObject(g.job, 1) }

func (g *group) awaitExit() { _, _ = windows.WaitForSingleObject(g.process, windows.INFINITE) }

func (g *group) close() {
	if g.process != 0 {
		_ = windows.CloseHandle(g.process)
	}
	_ = windows.CloseHandle(g.job)
}

func lowerPriority(int, int) {}

// exitStatus shows an exception as the signal it is elsewhere.
func exitStatus(state *os.ProcessState) (int, syscall.Signal) {
	code := state.ExitCode()
	switch uint32(code) {
	case 0xC0000005, 0xC00000FD:
		return -1, syscall.SIGSEGV
	case 0xC000001D:
		return -1, syscall.SIGILL
	}
	return code, 0
}

// birth identifies the process that has pid now among all that ever had it.
// Empty: there is none.
func birth(pid int) (string, error) {
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, uint32(pid))
	if err != nil {
		return "", nil
	}
	defer windows.CloseHandle(h)
	var created, exited, kernel, user windows.Filetime
	if err := windows.GetProcessTimes(h, &created, &exited, &kernel, &user); err != nil {
		return "", fmt.Errorf("process times: %w", err)
	}
	return strconv.FormatInt(created.Nanoseconds(), 10), nil
}

func killOrphan(pid int) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return p.Kill()
}
