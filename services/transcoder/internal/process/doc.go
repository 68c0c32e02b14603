// Package process runs FFmpeg and ffprobe as children that end when they
// should: on cancel, at a deadline, when they stall, and when this process
// dies, even by kill -9.
//
//   - supervisor.go starts, watches and stops a child.
//   - starter.go keeps the one thread that children are tied to.
//   - end.go names how a run ended.
//   - progress.go reads `ffmpeg -progress`; tail.go keeps the end of stderr.
//   - record.go and sweep.go remember children on disk, so that the next start
//     kills what an earlier process left behind.
//   - tool.go finds the executables; group_*.go is what differs by system.
//
// It does not know what a video is, nor look at what a child wrote: exit 0 of
// FFmpeg is no proof of a whole output. All exported methods may be called
// from several goroutines.
package process
