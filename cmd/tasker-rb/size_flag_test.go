package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSizes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]uint64{
		"0": 0, "0MB": 0, "1B": 1, "512MB": 512_000_000, "512 mb": 512_000_000, "512M": 512_000_000, "512Mi": 512 << 20, "512MiB": 512 << 20,
		"2GiB": 2 << 30, "2g": 2_000_000_000, "1.5GB": 1_500_000_000, "64k": 64_000, "64KiB": 64 << 10, "1TB": 1_000_000_000_000,
	} {
		got, err := parseSize(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "512", "MB", "-1MB", "+1MB", "1e3MB", "0x10MB", "1_000MB", "NaN", "inf", "5 megs", "5MBMB", "0.1B", "9999999999TB", "5MB5", "½GB"} {
		_, err := parseSize(text)
		require.Error(t, err, text)
	}
	for bytes, want := range map[float64]string{0: "0 bytes", 999: "999 bytes", 1000: "1.0 kB", 999_999: "1.0 MB", 84_200_000: "84.2 MB", 512_000_000: "512 MB", 2 << 30: "2.1 GB"} {
		require.Equal(t, want, sizeText(bytes))
	}
}
