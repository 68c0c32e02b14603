// Package hls turns the fragmented MP4 files that FFmpeg wrote into an HLS
// presentation with playlists of our own, after it verified that they are
// whole.
//
//   - track.go reads the segments of one rendition or of the sound;
//     verify.go compares them with what the source promised;
//     playlist.go writes media and multivariant playlists, with the peak and
//     average bandwidth measured from the segments (FFmpeg declares twice the
//     peak); package.go does all of that for one folder.
//
// It encodes nothing and reads no sample data. It is not safe to use one
// folder from two goroutines.
package hls
