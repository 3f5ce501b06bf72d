package localpg_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/errors"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration/localpg"
)

// Each project has a database of its own, wherever in it a command is run.
func TestDefaultDir(t *testing.T) {
	state := t.TempDir()
	t.Setenv("XDG_STATE_HOME", state)
	t.Setenv("TASKER_PROJECT", "")
	root, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	for _, dir := range []string{"shop/.git", "shop/app/handlers", "shop/billing/.tasker-rb", "shop/billing/lib/.git", "other/.git", "plain/folder"} {
		require.NoError(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	require.NoError(t, os.Symlink(filepath.Join(root, "shop"), filepath.Join(root, "link")))
	dirs := map[string]string{}
	for _, c := range []struct{ name, in, project string }{
		{"TheFolderOfGit", "shop", "shop"},
		{"FurtherDown", "shop/app/handlers", "shop"},
		{"ThroughALink", "link/app", "shop"},
		{"TheMark", "shop/billing", "shop/billing"},
		{"TheMarkBeforeGit", "shop/billing/lib", "shop/billing"},
		{"AnotherProject", "other", "other"},
		{"TheFolderItself", "plain/folder", "plain/folder"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(filepath.Join(root, c.in))
			project, err := localpg.Project()
			require.NoError(t, err)
			require.Equal(t, filepath.Join(root, c.project), project)
			dir, err := localpg.DefaultDir()
			require.NoError(t, err)
			require.Equal(t, filepath.Join(state, "tasker-rb", "projects"), filepath.Dir(dir))
			require.Regexp(t, "^"+filepath.Base(c.project)+"-[0-9a-f]{12}$", filepath.Base(dir))
			if known := dirs[c.project]; known != "" {
				require.Equal(t, known, dir)
			}
			for other, used := range dirs {
				require.Equal(t, other == c.project, used == dir, other)
			}
			dirs[c.project] = dir
		})
	}
}

func TestTheStateFolder(t *testing.T) {
	t.Setenv("TASKER_PROJECT", t.TempDir())
	home := t.TempDir()
	t.Setenv("HOME", home)
	want := filepath.Join(home, ".local", "state", "tasker-rb", "projects")
	if os.Geteuid() == 0 {
		want = "/var/lib/tasker-rb/projects"
	}
	for _, value := range []string{"", "relative"} {
		t.Setenv("XDG_STATE_HOME", value)
		dir, err := localpg.DefaultDir()
		require.NoError(t, err)
		require.Equal(t, want, filepath.Dir(dir))
	}
}

func TestTheProjectThatIsNamed(t *testing.T) {
	named := t.TempDir()
	t.Setenv("TASKER_PROJECT", named)
	project, err := localpg.Project()
	require.NoError(t, err)
	named, err = filepath.EvalSymlinks(named)
	require.NoError(t, err)
	require.Equal(t, named, project)

	for _, wrong := range []string{filepath.Join(named, "missing"), "/dev/null"} {
		t.Setenv("TASKER_PROJECT", wrong)
		_, err = localpg.Start(t.Context(), localpg.Options{})
		require.ErrorContains(t, err, wrong)
		require.Equal(t, []string{"Set TASKER_PROJECT to a folder, or unset it."}, errors.GetAllHints(err))
	}
}

// The data says whose it is.
func TestTheProjectIsNoted(t *testing.T) {
	state := stateDir(t)
	t.Setenv("XDG_STATE_HOME", state)
	project := t.TempDir()
	t.Setenv("TASKER_PROJECT", project)
	noted := func() string {
		server := open(t, localpg.Options{})
		noted, err := os.ReadFile(filepath.Join(server.Dir(), "project"))
		require.NoError(t, err)
		require.NoError(t, server.Close())
		return string(noted)
	}
	project, err := filepath.EvalSymlinks(project)
	require.NoError(t, err)
	require.Equal(t, project+"\n", noted())
	dir, err := localpg.DefaultDir()
	require.NoError(t, err)
	require.NoError(t, os.Remove(filepath.Join(dir, "project")), "as if the first start had been killed")
	require.Equal(t, project+"\n", noted())
}

// A project's database is left over when its folder is gone.
func TestLeftovers(t *testing.T) {
	state := stateDir(t)
	t.Setenv("XDG_STATE_HOME", state)
	project, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	project = filepath.Join(project, "shop")
	require.NoError(t, os.Mkdir(project, 0o755))
	t.Setenv("TASKER_PROJECT", project)
	left := func() []localpg.Leftover {
		all, err := localpg.Leftovers()
		require.NoError(t, err)
		return all
	}
	require.Empty(t, left())
	server := open(t, localpg.Options{})
	require.Empty(t, left())
	require.NoError(t, os.Rename(project, project+"-moved"))
	for _, running := range []bool{true, false} {
		all := left()
		require.Len(t, all, 1)
		require.Greater(t, all[0].Bytes, int64(1_000_000))
		require.Equal(t, localpg.Leftover{Dir: server.Dir(), Project: project, Bytes: all[0].Bytes, Running: running}, all[0])
		require.NoError(t, server.Close())
	}
	require.NoError(t, os.RemoveAll(server.Dir()))
	require.Empty(t, left())
}
