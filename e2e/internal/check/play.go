package check

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/backlot-video/backlot/e2e/internal/client"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
)

const maxPlaylist = 1 << 20

// Playable fetches every playlist and segment of every published video.
func Playable(ctx context.Context, operator *client.Session, videos []*storefrontv1.Video) []string {
	var faults []string
	for _, video := range videos {
		if video.GetState() != storefrontv1.VideoState_VIDEO_STATE_PUBLISHED {
			continue
		}
		if err := Play(ctx, operator, video.GetId()); err != nil {
			faults = append(faults, fmt.Sprintf("published video %s (%s) does not play: %v", video.GetId(), video.GetTitle(), err))
		}
	}
	return faults
}

// Play fetches one video, all of it, by a signed address.
func Play(ctx context.Context, s *client.Session, videoID string) error {
	playback, err := s.Orders.CreatePlayback(ctx, &storefrontv1.CreatePlaybackRequest{VideoId: videoID})
	if err != nil {
		return err
	}
	address, err := url.Parse(s.Gateway + playback.GetPath())
	if err != nil {
		return err
	}
	variants, ended, err := playlist(ctx, address)
	if err != nil {
		return err
	}
	if len(variants) == 0 || ended {
		return fmt.Errorf("master playlist has %d variants", len(variants))
	}
	for _, variant := range variants {
		segments, ended, err := playlist(ctx, variant)
		if err != nil {
			return err
		}
		if len(segments) == 0 || !ended {
			return fmt.Errorf("%s has %d segments, ended: %t", variant.Path, len(segments), ended)
		}
		for _, segment := range segments {
			if _, err := fetch(ctx, segment); err != nil {
				return err
			}
		}
	}
	return nil
}

var attribute = regexp.MustCompile(`^#EXT-X-(?:MAP|MEDIA):.*URI="([^"]+)"`)

// playlist returns what a playlist names, and whether it has an end.
func playlist(ctx context.Context, address *url.URL) (entries []*url.URL, ended bool, err error) {
	content, err := fetch(ctx, address)
	if err != nil {
		return nil, false, err
	}
	if len(content) > maxPlaylist || !strings.HasPrefix(content, "#EXTM3U") {
		return nil, false, fmt.Errorf("%s is no playlist", address.Path)
	}
	lines := bufio.NewScanner(strings.NewReader(content))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		ended = ended || line == "#EXT-X-ENDLIST"
		if tag := attribute.FindStringSubmatch(line); tag != nil {
			line = tag[1]
		}
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		entry, err := address.Parse(line)
		if err != nil {
			return nil, false, err
		}
		entries = append(entries, entry)
	}
	return entries, ended, lines.Err()
}

func fetch(ctx context.Context, address *url.URL) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err == nil && (response.StatusCode != http.StatusOK || len(content) == 0) {
		err = fmt.Errorf("%s: %s, %d bytes", address.Path[strings.LastIndexByte(address.Path, '/'):], response.Status, len(content))
	}
	return string(content), err
}
