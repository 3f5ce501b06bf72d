//go:build !planted

package rubyhost_test

import (
	"bytes"
	"debug/elf"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The leaks that tests plant are in no program that is built without their tag.
func TestNothingIsPlanted(t *testing.T) {
	t.Parallel()
	program, err := os.ReadFile(os.Args[0])
	require.NoError(t, err)
	variable := strings.Join([]string{"TASKER", "PLANT"}, "_") // in one word it would be in this test
	require.False(t, bytes.Contains(program, []byte(variable)))
	file, err := elf.Open(os.Args[0])
	require.NoError(t, err)
	defer func() { require.NoError(t, file.Close()) }()
	symbols, err := file.Symbols()
	if err == nil { // without -s
		for _, s := range symbols {
			require.NotContains(t, s.Name, "rubyhost.plant")
		}
	}
}
