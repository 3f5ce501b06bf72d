package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// However the pipe cuts what a process prints, the beginning of a crash is kept.
func TestTheBeginningOfACrashIsKept(t *testing.T) {
	t.Parallel()
	said := strings.Repeat("x", 20_000) + "\nhandlers/one.rb:7: [BUG] Segmentation fault\nruby 3.1\n" + strings.Repeat("mapped file\n", 2000) + "the end\n"
	mark := strings.Index(said, "[BUG] ")
	for name, cuts := range map[string][]int{
		"InOnePiece":          nil,
		"BeforeTheMark":       {mark - 30},
		"InTheMark":           {mark + 2},
		"InTheMarkTwice":      {mark + 1, mark + 4},
		"BehindTheMark":       {mark + 6},
		"InManyPieces":        {100, 4000, mark - 1, mark + 3, mark + 40, mark + 9000},
		"OneLongBeforeTheEnd": {len(said) - 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var kept tail
			from := 0
			for _, to := range append(cuts, len(said)) {
				n, err := kept.Write([]byte(said[from:to]))
				require.NoError(t, err)
				require.Equal(t, to-from, n)
				from = to
			}
			text := string(kept.bytes())
			require.Contains(t, text, "[BUG] Segmentation fault\nruby 3.1\n")
			require.NotContains(t, text, strings.Repeat("x", 1000))
			require.True(t, strings.HasSuffix(text, "the end\n"))
			require.Less(t, len(text), headSize+tailSize+10)
		})
	}
}
