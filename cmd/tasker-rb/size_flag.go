package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/cockroachdb/errors"
)

// byteSize is the value of a flag for a size such as 512MB or 2GiB.
type byteSize uint64

func (s *byteSize) Set(text string) error {
	size, err := parseSize(text)
	*s = byteSize(size)
	return err
}

func (s *byteSize) String() string {
	if *s == 0 {
		return "0"
	}
	return sizeText(float64(*s))
}

func (*byteSize) Type() string { return "size" }

const sizeHint = "Give a size with its unit, such as 512MB or 2GiB. 1MB is 1000000 bytes, and 1MiB is 1048576."

// sizeUnits are the units of a size, in small letters. Kubernetes writes M and Mi.
var sizeUnits = map[string]float64{
	"b": 1, "k": 1e3, "kb": 1e3, "m": 1e6, "mb": 1e6, "g": 1e9, "gb": 1e9, "t": 1e12, "tb": 1e12,
	"ki": 1 << 10, "kib": 1 << 10, "mi": 1 << 20, "mib": 1 << 20, "gi": 1 << 30, "gib": 1 << 30, "ti": 1 << 40, "tib": 1 << 40,
}

// parseSize reads a size. Only 0 needs no unit: 512 is more often meant as MB than as bytes.
func parseSize(text string) (uint64, error) {
	number := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || !(n >= 0) || strings.ContainsAny(number, "eExXpP_+-") {
		return 0, errors.New("not a size")
	}
	unit := strings.ToLower(strings.TrimSpace(text[len(number):]))
	factor, known := sizeUnits[unit]
	switch size := n * factor; {
	case n == 0 && (known || unit == ""):
		return 0, nil
	case unit == "":
		return 0, errors.New("without a unit")
	case !known:
		return 0, errors.New("an unknown unit")
	case size < 1 || size >= 1<<62:
		return 0, errors.New("out of range")
	default:
		return uint64(size), nil
	}
}

// sizeText is a size for people, with three digits.
func sizeText(bytes float64) string {
	unit := 0
	for bytes >= 999.5 && unit < 4 {
		bytes /= 1000
		unit++
	}
	digits := 0
	if unit > 0 && bytes < 99.95 {
		digits = 1
	}
	return fmt.Sprintf("%.*f %s", digits, bytes, [...]string{"bytes", "kB", "MB", "GB", "TB"}[unit])
}
