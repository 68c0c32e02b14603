package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// size is a number of bytes as a flag.
type size int64

var units = []struct {
	suffix string
	bytes  int64
}{
	{"TiB", 1 << 40},
	{"GiB", 1 << 30},
	{"MiB", 1 << 20},
	{"KiB", 1 << 10},
	{"TB", 1e12},
	{"GB", 1e9},
	{"MB", 1e6},
	{"KB", 1e3},
	{"B", 1},
}

func (s *size) String() string {
	if s == nil || *s == 0 {
		return "0B"
	}
	for _, unit := range units {
		if int64(*s)%unit.bytes == 0 {
			return strconv.FormatInt(int64(*s)/unit.bytes, 10) + unit.suffix
		}
	}
	return strconv.FormatInt(int64(*s), 10) + "B"
}

func (s *size) Set(text string) error {
	number, factor := strings.TrimSpace(text), int64(1)
	for _, unit := range units {
		if rest, found := strings.CutSuffix(number, unit.suffix); found {
			number, factor = strings.TrimSpace(rest), unit.bytes
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/factor {
		return fmt.Errorf("%q is no size; write for example 8MiB", text)
	}
	*s = size(n * factor)
	return nil
}
