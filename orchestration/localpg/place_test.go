package localpg_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration/localpg"
)

func TestDefaultDir(t *testing.T) {
	state := t.TempDir()
	t.Setenv("XDG_STATE_HOME", state)
	dir, err := localpg.DefaultDir()
	require.NoError(t, err)
	require.Equal(t, filepath.Join(state, "tasker-rb", "postgres"), dir)

	home := t.TempDir()
	t.Setenv("HOME", home)
	want := filepath.Join(home, ".local", "state", "tasker-rb", "postgres")
	if os.Geteuid() == 0 {
		want = "/var/lib/tasker-rb/postgres"
	}
	for _, value := range []string{"", "relative"} {
		t.Setenv("XDG_STATE_HOME", value)
		dir, err = localpg.DefaultDir()
		require.NoError(t, err)
		require.Equal(t, want, dir)
	}
}
