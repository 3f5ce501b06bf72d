package rubyhost

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// A file that called malloc by itself would be missing from BridgeAllocations, and a
// block that went from one way of counting to the other would make it wrong.
func TestTheBridgeCountsItsAllocations(t *testing.T) {
	t.Parallel()
	calls := regexp.MustCompile(`\b(m|c|re)alloc\(|\bfree\(|\balloca\(|\bposix_memalign\(|\bopen_memstream\(`)
	files, err := filepath.Glob("*.c")
	require.NoError(t, err)
	for _, file := range files {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		if file == "memory.c" {
			require.Regexp(t, calls, string(source))
			continue
		}
		require.NotRegexp(t, calls, string(source), "%s: use tasker_alloc, tasker_realloc and tasker_free", file)
	}
}
