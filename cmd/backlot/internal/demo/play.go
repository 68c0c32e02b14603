package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
)

// maxPlaylist bounds a playlist.
const maxPlaylist = 4 << 20

// played is what a player fetched.
type played struct {
	renditions, segments int
	bytes                int64
	seconds              float64 // of the first rendition
}

// play fetches the bought video as a player does: every playlist, every
// segment, and one part of a segment by Range.
func (r *run) play(ctx context.Context, video *storefrontv1.Video) (*played, error) {
	playback, err := r.buyer.orders.CreatePlayback(ctx, &storefrontv1.CreatePlaybackRequest{VideoId: video.GetId()})
	if err != nil {
		return nil, fmt.Errorf("playback: %w", err)
	}
	master, err := url.Parse(r.config.Gateway + playback.GetPath())
	if err != nil {
		return nil, err
	}
	variants, _, err := playlist(ctx, master)
	if err != nil {
		return nil, err
	}
	if len(variants) == 0 {
		return nil, errors.New("the multivariant playlist is empty")
	}
	result := &played{renditions: len(variants)}
	for i, variant := range variants {
		segments, seconds, err := playlist(ctx, variant)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			result.seconds = seconds
		}
		for _, segment := range segments {
			n, err := fetch(ctx, segment, io.Discard)
			if err != nil {
				return nil, err
			}
			result.segments++
			result.bytes += n
		}
		if err := ranged(ctx, segments[len(segments)-1]); err != nil {
			return nil, err
		}
	}
	return result, forged(ctx, r.config.Gateway, playback.GetPath())
}

// playlist reads the addresses in an HLS playlist, map included, and the
// sum of the durations.
func playlist(ctx context.Context, address *url.URL) (entries []*url.URL, seconds float64, err error) {
	var text strings.Builder
	if _, err := fetch(ctx, address, &text); err != nil {
		return nil, 0, err
	}
	if !strings.HasPrefix(text.String(), "#EXTM3U") {
		return nil, 0, fmt.Errorf("%s is no playlist", address.Path)
	}
	lines := bufio.NewScanner(strings.NewReader(text.String()))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		uri := line
		switch {
		case strings.HasPrefix(line, "#EXT-X-MAP:"), strings.HasPrefix(line, "#EXT-X-MEDIA:"):
			uri = attribute(line, "URI")
		case strings.HasPrefix(line, "#EXTINF:"):
			number, _, _ := strings.Cut(strings.TrimPrefix(line, "#EXTINF:"), ",")
			if length, err := strconv.ParseFloat(number, 64); err == nil {
				seconds += length
			}
			continue
		case strings.HasPrefix(line, "#"):
			continue
		}
		if uri == "" {
			continue
		}
		entry, err := address.Parse(uri)
		if err != nil {
			return nil, 0, err
		}
		entries = append(entries, entry)
	}
	return entries, seconds, lines.Err()
}

// attribute finds NAME="value" in a tag.
func attribute(line, name string) string {
	_, rest, found := strings.Cut(line, name+`="`)
	if !found {
		return ""
	}
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

func fetch(ctx context.Context, address *url.URL, into io.Writer) (int64, error) {
	response, err := send(ctx, address, "")
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("media answered %s", response.Status)
	}
	source := io.Reader(response.Body)
	if into != io.Discard {
		source = io.LimitReader(source, maxPlaylist)
	}
	n, err := io.Copy(into, source)
	if err == nil && n == 0 {
		err = errors.New("media is empty")
	}
	return n, err
}

// ranged asks for 16 bytes and gets 16 bytes.
func ranged(ctx context.Context, address *url.URL) error {
	response, err := send(ctx, address, "bytes=8-23")
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	part, err := io.ReadAll(io.LimitReader(response.Body, 64))
	if err == nil && (response.StatusCode != http.StatusPartialContent || len(part) != 16) {
		err = fmt.Errorf("a range of 16 bytes gave %s with %d bytes", response.Status, len(part))
	}
	return err
}

// forged changes the signed address and must be refused.
func forged(ctx context.Context, gateway, path string) error {
	changed := []byte(path)
	at := len("/media/") + 20
	if changed[at] == 'A' {
		changed[at] = 'B'
	} else {
		changed[at] = 'A'
	}
	address, err := url.Parse(gateway + string(changed))
	if err != nil {
		return err
	}
	response, err := send(ctx, address, "")
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusForbidden {
		return fmt.Errorf("a forged media address gave %s", response.Status)
	}
	return nil
}

func send(ctx context.Context, address *url.URL, ranges string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return nil, err
	}
	if ranges != "" {
		request.Header.Set("Range", ranges)
	}
	return http.DefaultClient.Do(request)
}
