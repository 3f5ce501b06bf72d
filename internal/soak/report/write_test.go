package report_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/soak/report"
)

// TestLook writes everything into a folder, to be looked at.
func TestLook(t *testing.T) {
	dir := os.Getenv("REPORT_LOOK")
	if dir == "" {
		t.Skip("REPORT_LOOK names no folder")
	}
	for name, r := range odd() {
		for ending, write := range writers {
			f, err := os.Create(filepath.Join(dir, name+ending))
			require.NoError(t, err)
			require.NoError(t, write(f, r))
			require.NoError(t, f.Close())
		}
		f, err := os.Create(filepath.Join(dir, name+".txt"))
		require.NoError(t, err)
		require.NoError(t, report.Text(f, r, report.TextOptions{Width: 80, Colour: name == "leaking"}))
		require.NoError(t, f.Close())
	}
}
