package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/errors"
)

// span is a flag for a time such as 90s, 24h or 7d.
type span time.Duration

func (s *span) Set(text string) error {
	d, err := parseSpan(text)
	*s = span(d)
	return err
}

func (s *span) String() string { return time.Duration(*s).String() }
func (*span) Type() string     { return "duration" }

const spanHint = "Give a time such as 90s, 24h or 7d."

func parseSpan(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if days, isDays := strings.CutSuffix(text, "d"); isDays {
		var n float64
		if n, err = strconv.ParseFloat(days, 64); err == nil && (n < -36500 || n > 36500 || n != n) {
			err = errors.New("out of range")
		}
		d = time.Duration(n * 24 * float64(time.Hour))
	}
	if err == nil && d < 0 {
		err = errors.New("negative")
	}
	return d, err
}

// parseMoment reads a moment, or a time from now.
func parseMoment(flag, text string, now time.Time) (time.Time, error) {
	if d, err := parseSpan(text); err == nil {
		return now.Add(d), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, errors.WithHint(errors.Newf("--%s cannot be %q", flag, text),
			"Give a moment such as 2026-01-31T08:00:00Z, or a time from now such as 2h or 7d.")
	}
	return at, nil
}
