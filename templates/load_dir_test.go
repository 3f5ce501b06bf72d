package templates_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/templates"
)

func write(t *testing.T, dir, name, yaml string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, []byte(yaml), 0o600))
	return path
}

func TestLoadDir(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "a.yml", "name: a\nversion: 1.9.0\n"+steps)
	write(t, dir, "deep/b.YAML", "name: a\nversion: 1.10.0\nenvironments: {test: {concurrent: false}}\n"+steps)
	write(t, dir, "c.yaml", "name: a\nversion: 1.10.0-rc.1\n"+steps)
	write(t, dir, "notes.txt", "not a template")
	write(t, dir, ".hidden/d.yml", "broken: [")
	write(t, dir, ".e.yml", "broken: [")
	registry, err := templates.LoadDir(dir, templates.WithEnvironment("test"))
	require.NoError(t, err)
	require.Equal(t, 3, registry.Len())

	latest, err := registry.Find("", "a", "")
	require.NoError(t, err)
	require.Equal(t, "1.10.0", latest.Version)
	require.False(t, latest.Concurrent, "options reach every file")
	old, err := registry.Find("default", "a", "1.9.0")
	require.NoError(t, err)
	require.Equal(t, "1.9.0", old.Version)
	var versions []string
	for _, tmpl := range registry.All() {
		versions = append(versions, tmpl.Version)
	}
	require.Equal(t, []string{"1.9.0", "1.10.0-rc.1", "1.10.0"}, versions)
}

func TestLoadDirReportsEverything(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := write(t, dir, "1.yml", "name: a\n"+steps)
	second := write(t, dir, "2.yml", "name: a\n"+steps)
	third := write(t, dir, "3.yml", "name: [\n")
	write(t, dir, "4.yml", "name: b\n"+steps)
	registry, err := templates.LoadDir(dir)
	require.EqualError(t, err, second+":1:7: the template default/a 0.1.0 is given twice, first at "+first+":1:7\n"+
		"    Raise the version of one of the two, or remove it.\n"+
		third+":1:1: this is not valid YAML: did not find expected node content\n"+
		"    Check the indentation, the quotes and the brackets of this line and the one before it.")
	require.Equal(t, 2, registry.Len(), "the valid templates are loaded")
}

func TestLoadDirWithoutTemplates(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := templates.LoadDir(dir)
	require.EqualError(t, err, dir+": the directory has no templates\n    Templates are files that end in .yml or .yaml.")
	gone := filepath.Join(dir, "gone")
	_, err = templates.LoadDir(gone)
	require.EqualError(t, err, gone+": the directory does not exist\n    Check the path; it is relative to the current directory.")
	require.ErrorIs(t, err, os.ErrNotExist)
}

// Nobody writes into the pipe.
func TestLoadDirLeavesOutWhatIsNoFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "a.yml", "name: a\n"+steps)
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "pipe.yml"), 0o600))
	require.NoError(t, os.Symlink("/dev/zero", filepath.Join(dir, "device.yml")))
	registry, err := templates.LoadDir(dir)
	require.NoError(t, err)
	require.Equal(t, 1, registry.Len())
	_, err = templates.Load(filepath.Join(dir, "device.yml"))
	require.EqualError(t, err, filepath.Join(dir, "device.yml")+": this is a device, not a template file\n    Name a file.")
}
