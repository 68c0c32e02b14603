package service

import (
	"errors"
	"time"

	"github.com/backlot-video/backlot/kit/config"
)

// Config has the transcoder's settings.
type Config struct {
	// FFmpeg and FFprobe are the executables; empty means that of this name
	// in PATH.
	FFmpeg, FFprobe string
	// Workers is how many jobs run at a time; default 2. FFmpeg uses all
	// processors for one job where it can.
	Workers int
	// Nice is the priority that FFmpeg gives up, 0 to 19; default 5.
	Nice int
	// Stall is how long FFmpeg may make no progress; default 1 m.
	Stall time.Duration
	// MaxDuration is the longest video; default 12 h.
	MaxDuration time.Duration
	// MaxUpload is the largest file in bytes; default 10 GiB.
	MaxUpload int64
	// UploadExpiry is how long an unfinished upload may rest; default 24 h.
	UploadExpiry time.Duration
	// MaxUploads is how many unfinished uploads one creator may have; default
	// 100.
	MaxUploads int
	// MaxQueued is how many jobs may wait before uploads are refused; default
	// 1,000.
	MaxQueued int
	// Catalogue is the service that is asked whose a video is; default
	// storefront. Empty: any creator may upload for any video id.
	Catalogue string
}

func (c *Config) register(set *config.Set) {
	set.String(&c.FFmpeg, "ffmpeg", "", "`path` of ffmpeg; empty: the one in PATH")
	set.String(&c.FFprobe, "ffprobe", "", "`path` of ffprobe; empty: the one in PATH")
	set.Int(&c.Workers, "workers", 2, "`number` of jobs at a time")
	set.Int(&c.Nice, "nice", 5, "`priority` that FFmpeg gives up, 0 to 19")
	set.Duration(&c.Stall, "stall", time.Minute, "longest `time` that FFmpeg may make no progress")
	set.Duration(&c.MaxDuration, "max-duration", 12*time.Hour, "longest `time` that a video may play")
	set.Size(&c.MaxUpload, "max-upload", 10<<30, "most `bytes` of an uploaded file")
	set.Duration(&c.UploadExpiry, "upload-expiry", 24*time.Hour, "`time` after which an unfinished upload that rests is deleted")
	set.Int(&c.MaxUploads, "max-uploads", 100, "most unfinished `uploads` of one creator")
	set.Int(&c.MaxQueued, "max-queued", 1000, "`number` of waiting jobs from which on uploads are refused")
	set.String(&c.Catalogue, "catalogue", "storefront", "`service` that is asked whose a video is; empty: any creator may upload for any video id")
}

func (c *Config) validate() error {
	var faults []error
	check := func(ok bool, fault string) {
		if !ok {
			faults = append(faults, errors.New("transcoder."+fault))
		}
	}
	check(c.Workers >= 1 && c.Workers <= 256, "workers: must be 1 to 256")
	check(c.Nice >= 0 && c.Nice <= 19, "nice: must be 0 to 19")
	check(c.Stall >= time.Second, "stall: must be at least 1s")
	check(c.MaxDuration >= time.Second, "max-duration: must be at least 1s")
	check(c.MaxUpload >= 1, "max-upload: must be at least 1")
	check(c.UploadExpiry >= time.Minute, "upload-expiry: must be at least 1m")
	check(c.MaxUploads >= 1, "max-uploads: must be at least 1")
	check(c.MaxQueued >= 1, "max-queued: must be at least 1")
	return errors.Join(faults...)
}
