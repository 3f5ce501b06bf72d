package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"
)

// timeSpan is the value of a flag for a time such as 90s, 24h or 7d.
type timeSpan time.Duration

func (s *timeSpan) Set(text string) error {
	d, err := parseTimeSpan(text)
	*s = timeSpan(d)
	return err
}

// String returns the time as --help shows it as a default: 1m and not 1m0s, and nothing
// for a flag that does nothing unless it is given.
func (s *timeSpan) String() string {
	if *s == 0 {
		return ""
	}
	text := time.Duration(*s).String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = strings.TrimSuffix(text, zero[1:])
		}
	}
	return text
}

func (*timeSpan) Type() string { return "duration" }

const timeSpanHint = "Give a time such as 90s, 24h or 7d."

func parseTimeSpan(text string) (time.Duration, error) {
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

// refuseZero refuses a time that is given and is 0. It would select as if the flag were not
// there: all tasks.
func refuseZero(cmd *cobra.Command, flag string) error {
	if f := cmd.Flags().Lookup(flag); f != nil && f.Changed && f.Value.String() == "" {
		return errors.WithHint(errors.Newf("--%s cannot be 0", flag), "Give a longer time, such as 90s, 24h or 7d.")
	}
	return nil
}

// parseMoment reads a moment (RFC 3339) or a time from now.
func parseMoment(flag, text string, now time.Time) (time.Time, error) {
	if d, err := parseTimeSpan(text); err == nil {
		return now.Add(d), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, errors.WithHint(errors.Newf("--%s cannot be %q", flag, text),
			"Give a moment such as 2026-01-31T08:00:00Z, or a time from now such as 2h or 7d.")
	}
	return at, nil
}
