package hls

import (
	"fmt"
	"os"
	"path/filepath"
)

// SoundName is the folder of the sound track.
const SoundName = "sound"

// Package verifies the tracks in the folders dir/name against p, and writes
// their playlists and master.m3u8. rate is the frame rate in Hz. It returns
// the tracks in the order of names.
func Package(dir string, names []string, rate float64, p Promise) ([]Track, error) {
	tracks := make([]Track, 0, len(names))
	for _, name := range names {
		t, err := ReadTrack(os.DirFS(dir), name)
		if err != nil {
			return nil, fmt.Errorf("read track: %w", err)
		}
		tracks = append(tracks, t)
	}
	if err := verify(tracks, p); err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	for _, t := range tracks {
		if err := os.WriteFile(filepath.Join(dir, t.Name, MediaName), []byte(mediaPlaylist(t)), 0o644); err != nil {
			return nil, fmt.Errorf("write playlist: %w", err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, MasterName), []byte(masterPlaylist(tracks, rate)), 0o644); err != nil {
		return nil, fmt.Errorf("write playlist: %w", err)
	}
	return tracks, nil
}
