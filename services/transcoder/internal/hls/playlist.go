package hls

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Average returns the mean bandwidth of a track in bits per second.
func (t Track) Average() int64 {
	var ticks, bytes int64
	for _, s := range t.Segments {
		ticks += s.Ticks
		bytes += s.Bytes
	}
	return t.rate(bytes, ticks)
}

// Peak returns the largest bandwidth, in bits per second, of any run of
// segments that lasts between half and one and a half target durations
// (RFC 8216, 4.1).
func (t Track) Peak() int64 {
	target := t.targetSeconds() * t.Timescale
	var peak int64
	for i := range t.Segments {
		var ticks, bytes int64
		for _, s := range t.Segments[i:] {
			ticks += s.Ticks
			bytes += s.Bytes
			if 2*ticks > 3*target {
				break
			}
			if 2*ticks >= target {
				peak = max(peak, t.rate(bytes, ticks))
			}
		}
	}
	return max(peak, t.Average())
}

func (t Track) rate(bytes, ticks int64) int64 {
	if ticks == 0 {
		return 0
	}
	return int64(math.Ceil(float64(bytes) * 8 * float64(t.Timescale) / float64(ticks)))
}

// targetSeconds is the longest segment, rounded to whole seconds.
func (t Track) targetSeconds() int64 {
	var longest int64
	for _, s := range t.Segments {
		longest = max(longest, s.Ticks)
	}
	return max(1, (2*longest+t.Timescale)/(2*t.Timescale))
}

// mediaPlaylist returns the playlist of one track.
func mediaPlaylist(t Track) string {
	var b strings.Builder
	fmt.Fprintf(&b, "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:%d\n", t.targetSeconds())
	b.WriteString("#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-INDEPENDENT-SEGMENTS\n")
	fmt.Fprintf(&b, "#EXT-X-MAP:URI=%q\n", InitName)
	for _, s := range t.Segments {
		fmt.Fprintf(&b, "#EXTINF:%.6f,\n%s\n", float64(s.Ticks)/float64(t.Timescale), s.Name)
	}
	b.WriteString("#EXT-X-ENDLIST\n")
	return b.String()
}

// masterPlaylist returns the multivariant playlist, the largest rendition
// first. rate is the frame rate of all renditions.
func masterPlaylist(tracks []Track, rate float64) string {
	var b strings.Builder
	b.WriteString("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n")
	group, codec, peak, average := "", "", int64(0), int64(0)
	if i := slices.IndexFunc(tracks, func(t Track) bool { return !t.Video() }); i >= 0 {
		sound := tracks[i]
		group, codec = `,AUDIO="sound"`, ","+sound.Codec
		peak, average = sound.Peak(), sound.Average()
		fmt.Fprintf(&b, "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"sound\",NAME=\"Sound\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"%d\",URI=\"%s/%s\"\n",
			sound.Channels, sound.Name, MediaName)
	}
	video := slices.DeleteFunc(slices.Clone(tracks), func(t Track) bool { return !t.Video() })
	slices.SortStableFunc(video, func(a, b Track) int { return b.Width*b.Height - a.Width*a.Height })
	for _, t := range video {
		fmt.Fprintf(&b, "#EXT-X-STREAM-INF:BANDWIDTH=%d,AVERAGE-BANDWIDTH=%d,RESOLUTION=%dx%d,FRAME-RATE=%.3f,CODECS=\"%s%s\"%s\n%s/%s\n",
			t.Peak()+peak, t.Average()+average, t.Width, t.Height, rate, t.Codec, codec, group, t.Name, MediaName)
	}
	return b.String()
}
