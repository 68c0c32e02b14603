// Package video holds the life of a video: draft, processing, ready,
// published, withdrawn. It is pure: callers load and store.
package video

import (
	"errors"
	"fmt"
	"time"

	"github.com/backlot-video/backlot/kit/money"
)

// State is a step of a video's life; the numbers are those of the contract
// and of the database.
type State int

// The states.
const (
	Draft      State = 1
	Processing State = 2
	Ready      State = 3
	Published  State = 4
	Withdrawn  State = 5
)

var (
	// ErrNotReady means that there is nothing to publish yet.
	ErrNotReady = errors.New("video is not ready: upload a file and wait until it is transcoded")
	// ErrNotPublished means that only published videos can be withdrawn.
	ErrNotPublished = errors.New("video is not published")
	// ErrPrice means a price that cannot be asked.
	ErrPrice = errors.New("price is not valid")
	// ErrNotForSale means a video that cannot be bought now.
	ErrNotForSale = errors.New("video is not for sale")
)

// MaxPriceMinor bounds a price, in minor units of any currency.
const MaxPriceMinor = 100_000_000

// Video is one title of a creator.
type Video struct {
	ID, TenantID, CreatorID string
	Title, Description      string
	Tags                    []string
	State                   State
	Price                   money.Amount // zero before the first publication
	Duration                time.Duration
	Width, Height           uint32
	Problem                 string // why the last upload failed
	MediaPrefix             string // in the bucket `media`, with a final slash
	ExternalRef             string
	CreatedAt, PublishedAt  time.Time
	UpdatedAt               time.Time
}

// Media is what the transcoder made of an upload.
type Media struct {
	Prefix        string
	Duration      time.Duration
	Width, Height uint32
}

// UploadFinished notes that a file arrived. A published video stays so,
// with its media of before.
func (v *Video) UploadFinished(now time.Time) {
	if v.State == Draft {
		v.State = Processing
	}
	v.Problem, v.UpdatedAt = "", now
}

// Transcoded puts new media in place at once.
func (v *Video) Transcoded(m Media, now time.Time) {
	if v.State == Draft || v.State == Processing {
		v.State = Ready
	}
	v.MediaPrefix, v.Duration, v.Width, v.Height = m.Prefix, m.Duration, m.Width, m.Height
	v.Problem, v.UpdatedAt = "", now
}

// TranscodeFailed keeps what was there before and says why.
func (v *Video) TranscodeFailed(problem string, now time.Time) {
	if v.State == Processing {
		v.State = Draft
		if v.MediaPrefix != "" {
			v.State = Ready
		}
	}
	v.Problem, v.UpdatedAt = problem, now
}

// Publish offers the video at a price, or changes the price.
func (v *Video) Publish(price money.Amount, now time.Time) error {
	if err := CheckPrice(price); err != nil {
		return err
	}
	if v.MediaPrefix == "" || v.State == Draft || v.State == Processing {
		return ErrNotReady
	}
	if v.State != Published {
		v.PublishedAt = now
	}
	v.State, v.Price, v.UpdatedAt = Published, price, now
	return nil
}

// Withdraw takes the video out of sale.
func (v *Video) Withdraw(now time.Time) error {
	if v.State == Withdrawn {
		return nil
	}
	if v.State != Published {
		return ErrNotPublished
	}
	v.State, v.UpdatedAt = Withdrawn, now
	return nil
}

// CheckPrice tells whether a price can be asked: 0 (free) up to
// MaxPriceMinor, in a known currency.
func CheckPrice(price money.Amount) error {
	switch {
	case price.Minor < 0:
		return fmt.Errorf("%w: minor must not be below 0, got %d", ErrPrice, price.Minor)
	case price.Minor > MaxPriceMinor:
		return fmt.Errorf("%w: minor must not be above %d, got %d", ErrPrice, MaxPriceMinor, price.Minor)
	}
	if _, known := money.Exponent(price.Currency); !known {
		return fmt.Errorf("%w: currency %q is not in ISO 4217", ErrPrice, price.Currency)
	}
	return nil
}
