package localpg

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

func TestOldestServer(t *testing.T) {
	require.Equal(t, orchestration.OldestServer, oldestMajor)
}

func TestInstallationsAreDistinctAndNewestFirst(t *testing.T) {
	all := Installations(t.Context())
	require.NotEmpty(t, all)
	for i, in := range all {
		require.FileExists(t, filepath.Join(in.BinDir, "initdb"))
		require.True(t, strings.HasPrefix(in.Version, strings.Split(in.Version, ".")[0]))
		if i > 0 {
			require.GreaterOrEqual(t, all[i-1].Major, in.Major)
			require.NotEqual(t, all[i-1].BinDir, in.BinDir)
		}
	}
}

// fakeInstallation makes a folder whose postgres reports this version.
func fakeInstallation(t *testing.T, version string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	script := "#!/bin/sh\necho 'postgres (PostgreSQL) " + version + " (Debian)'\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "postgres"), []byte(script), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "initdb"), []byte(script), 0o700))
	return dir
}

// Not parallel: it changes where the package looks.

func TestChoose(t *testing.T) {
	usual := usualBinDirs
	t.Cleanup(func() { usualBinDirs = usual })
	usualBinDirs = ""
	data := t.TempDir()

	t.Setenv("PATH", t.TempDir())
	_, err := choose(t.Context(), Options{}, data)
	require.ErrorIs(t, err, ErrNoBinaries)

	old, middle, newest := fakeInstallation(t, "12.9"), fakeInstallation(t, "15.18"), fakeInstallation(t, "18beta1")
	link := filepath.Join(t.TempDir(), "postgres")
	require.NoError(t, os.Symlink(filepath.Join(middle, "postgres"), link))
	tools := t.TempDir() // a pg_config in PATH would name this machine's own server
	require.NoError(t, os.Symlink("/bin/sh", filepath.Join(tools, "sh")))
	path := []string{"relative", old, filepath.Dir(link), middle, tools}
	t.Setenv("PATH", strings.Join(path, ":"))
	usualBinDirs = filepath.Dir(newest) + "/*"
	found := Installations(t.Context())
	require.Equal(t, Installation{newest, "18beta1", 18}, found[0])
	require.Equal(t, Installation{middle, "15.18", 15}, found[1])
	require.Equal(t, Installation{old, "12.9", 12}, found[len(found)-1])

	in, err := choose(t.Context(), Options{}, data)
	require.NoError(t, err)
	require.Equal(t, 18, in.Major)

	require.NoError(t, os.WriteFile(filepath.Join(data, "PG_VERSION"), []byte("15\n"), 0o600))
	in, err = choose(t.Context(), Options{}, data)
	require.NoError(t, err)
	require.Equal(t, 15, in.Major)

	base := filepath.Dir(data)
	require.NoError(t, os.Rename(data, filepath.Join(base, "data")))
	data = filepath.Join(base, "data")
	for _, c := range []struct {
		options Options
		major   int
	}{
		{Options{Dir: base}, 15},
		{Options{Dir: base, Ephemeral: true}, 18},
		{Options{Dir: t.TempDir()}, 18},
	} {
		in, err = Choose(t.Context(), c.options)
		require.NoError(t, err)
		require.Equal(t, c.major, in.Major, "%+v", c.options)
	}

	_, err = choose(t.Context(), Options{BinDir: newest}, data)
	require.ErrorContains(t, err, "was made by PostgreSQL 15, but only 18beta1 is installed")

	_, err = choose(t.Context(), Options{BinDir: old}, t.TempDir())
	require.ErrorContains(t, err, "PostgreSQL 12.9 in "+old+" is too old")
}
