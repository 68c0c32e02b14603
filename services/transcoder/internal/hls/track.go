package hls

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"time"

	"github.com/Eyevinn/mp4ff/mp4"
)

// Track is the segments of one rendition or of the sound, in one folder.
type Track struct {
	Name          string // of its folder
	Codec         string // for CODECS, as "avc1.64001E"
	Width, Height int    // 0: sound
	Channels      int    // 0: video
	Timescale     int64  // ticks per second
	Frames        int64
	Segments      []Segment
}

// Segment is one media segment.
type Segment struct {
	Name  string
	Ticks int64 // duration
	Bytes int64
}

// Names of files in a track's folder and of the files at the top.
const (
	InitName      = "init.mp4"
	MediaName     = "index.m3u8"
	MasterName    = "master.m3u8"
	segmentGlob   = "seg-*.m4s"
	SegmentFormat = "seg-$Number%05d$.m4s" // for FFmpeg's -media_seg_name
)

// ErrIncomplete is output that is not what the source promised.
var ErrIncomplete = errors.New("output is not whole")

// Video tells a rendition from the sound.
func (t Track) Video() bool { return t.Width > 0 }

// Duration returns how long the track plays.
func (t Track) Duration() time.Duration {
	var ticks int64
	for _, s := range t.Segments {
		ticks += s.Ticks
	}
	return t.duration(ticks)
}

func (t Track) duration(ticks int64) time.Duration {
	if t.Timescale == 0 {
		return 0
	}
	return time.Duration(ticks/t.Timescale)*time.Second +
		time.Duration(ticks%t.Timescale)*time.Second/time.Duration(t.Timescale)
}

// ReadTrack reads the track in folder name of dir: its init segment and all
// its media segments, which must follow each other without a gap.
func ReadTrack(dir fs.FS, name string) (Track, error) {
	t := Track{Name: name}
	trex, err := t.readInit(dir, path.Join(name, InitName))
	if err != nil {
		return t, fmt.Errorf("%s/%s: %w", name, InitName, err)
	}
	files, err := fs.Glob(dir, path.Join(name, segmentGlob))
	if err != nil {
		return t, err
	}
	slices.Sort(files)
	var next uint64
	for i, file := range files {
		want := fmt.Sprintf("seg-%05d.m4s", i+1)
		if path.Base(file) != want {
			return t, fmt.Errorf("%w: segment %s/%s is missing", ErrIncomplete, name, want)
		}
		start, err := t.readSegment(dir, file, trex)
		if err != nil {
			return t, fmt.Errorf("%s/%s: %w", name, want, err)
		}
		if i > 0 && start != next {
			return t, fmt.Errorf("%w: segment %s/%s starts at tick %d, not %d", ErrIncomplete, name, want, start, next)
		}
		next = start + uint64(t.Segments[i].Ticks)
	}
	if len(t.Segments) == 0 {
		return t, fmt.Errorf("%w: track %s has no segments", ErrIncomplete, name)
	}
	return t, nil
}

func (t *Track) readInit(dir fs.FS, name string) (*mp4.TrexBox, error) {
	file, _, err := decode(dir, name)
	if err != nil {
		return nil, err
	}
	if file.Init == nil || file.Init.Moov == nil || file.Init.Moov.Mvex == nil || len(file.Init.Moov.Traks) != 1 {
		return nil, fmt.Errorf("%w: not the init segment of one track", ErrIncomplete)
	}
	mdia := file.Init.Moov.Traks[0].Mdia
	if mdia == nil || mdia.Mdhd == nil || mdia.Mdhd.Timescale == 0 || mdia.Minf == nil || mdia.Minf.Stbl == nil || mdia.Minf.Stbl.Stsd == nil {
		return nil, fmt.Errorf("%w: track without a description", ErrIncomplete)
	}
	t.Timescale = int64(mdia.Mdhd.Timescale)
	switch stsd := mdia.Minf.Stbl.Stsd; {
	case stsd.AvcX != nil && stsd.AvcX.AvcC != nil:
		c := stsd.AvcX.AvcC
		t.Codec = fmt.Sprintf("avc1.%02X%02X%02X", c.AVCProfileIndication, c.ProfileCompatibility, c.AVCLevelIndication)
		t.Width, t.Height = int(stsd.AvcX.Width), int(stsd.AvcX.Height)
	case stsd.Mp4a != nil:
		t.Codec = "mp4a.40.2"
		t.Channels = int(stsd.Mp4a.ChannelCount)
	default:
		return nil, fmt.Errorf("%w: neither H.264 nor AAC", ErrIncomplete)
	}
	return file.Init.Moov.Mvex.Trex, nil
}

// readSegment appends a segment and returns its start in ticks.
func (t *Track) readSegment(dir fs.FS, name string, trex *mp4.TrexBox) (start uint64, err error) {
	file, size, err := decode(dir, name)
	if err != nil {
		return 0, err
	}
	s := Segment{Name: path.Base(name), Bytes: size}
	first := true
	for _, segment := range file.Segments {
		for _, fragment := range segment.Fragments {
			if fragment.Moof == nil || fragment.Moof.Traf == nil || fragment.Moof.Traf.Tfdt == nil || fragment.Moof.Traf.Tfhd == nil {
				return 0, fmt.Errorf("%w: fragment without its description", ErrIncomplete)
			}
			traf := fragment.Moof.Traf
			at := traf.Tfdt.BaseMediaDecodeTime()
			for _, trun := range traf.Truns {
				s.Ticks += int64(trun.AddSampleDefaultValues(traf.Tfhd, trex))
				t.Frames += int64(trun.SampleCount())
				if first && t.Video() && trun.SampleCount() > 0 && !startsWithKeyframe(trun) {
					return 0, fmt.Errorf("%w: does not start with a keyframe", ErrIncomplete)
				}
				if first {
					start, first = at, false
				}
			}
		}
	}
	if first || s.Ticks <= 0 {
		return 0, fmt.Errorf("%w: holds no samples", ErrIncomplete)
	}
	t.Segments = append(t.Segments, s)
	return start, nil
}

func startsWithKeyframe(trun *mp4.TrunBox) bool {
	flags := trun.Samples[0].Flags
	if f, present := trun.FirstSampleFlags(); present {
		flags = f
	}
	return mp4.IsSyncSampleFlags(flags)
}

// decode reads the boxes of a file, without sample data, and sees that they
// fill it.
func decode(dir fs.FS, name string) (*mp4.File, int64, error) {
	f, err := dir.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, fmt.Errorf("%w: file is missing", ErrIncomplete)
	}
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	file, err := mp4.DecodeFile(f, mp4.WithDecodeMode(mp4.DecModeLazyMdat))
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrIncomplete, err)
	}
	var size int64
	for _, box := range file.Children {
		size += int64(box.Size())
	}
	if size != info.Size() {
		return nil, 0, fmt.Errorf("%w: boxes of %d bytes in a file of %d", ErrIncomplete, size, info.Size())
	}
	return file, size, nil
}
