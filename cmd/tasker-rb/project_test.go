package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// Projects do not meet in a database; the folders of one project do.
func TestEachProjectHasAPrivateDatabase(t *testing.T) {
	t.Parallel()
	root := &project{t: t, dir: t.TempDir(), env: []string{"XDG_STATE_HOME=" + enterable(t)}}
	root.write(map[string]string{"shop/one.yaml": one("Fine"), "shop/handlers/fine.rb": fine, "shop/.tasker-rb/keep": "", "shop/deeper/keep": "", "other/keep": ""})
	shop, deeper, other := *root, *root, *root
	shop.dir, deeper.dir, other.dir = filepath.Join(root.dir, "shop"), filepath.Join(root.dir, "shop", "deeper"), filepath.Join(root.dir, "other")

	first := shop.run("run", "one.yaml", "--output", "json")
	require.Zero(t, first.code, first.stderr)
	real, err := filepath.EvalSymlinks(shop.dir)
	require.NoError(t, err)
	require.Regexp(t, `^made a private database for `+real+`, in \S*/tasker-rb/projects/shop-[0-9a-f]{12}\n`, first.stderr)

	again := deeper.run("tasks", "list")
	require.Zero(t, again.code, again.stderr)
	require.Contains(t, again.stdout, "one")
	require.NotContains(t, again.stderr, "made a private database")
	require.Contains(t, deeper.run("doctor").stdout, "ok    database    of "+real+", in ")

	require.Contains(t, other.run("doctor").stdout, "which the first command makes in ")
	empty := other.run("tasks", "list")
	require.Zero(t, empty.code, empty.stderr)
	require.NotContains(t, empty.stdout, "one")

	named := other
	named.env = append(named.env, "TASKER_PROJECT="+shop.dir)
	require.Contains(t, named.run("tasks", "list").stdout, "one")
	named.env[len(named.env)-1] = "TASKER_PROJECT=" + filepath.Join(root.dir, "missing")
	requireRefused(t, named.run("tasks", "list"), []string{"TASKER_PROJECT names " + filepath.Join(root.dir, "missing") + ", which is no folder: no such file or directory"}, "Set TASKER_PROJECT to a folder")
	require.NoFileExists(t, filepath.Join(root.dir, "missing"))

	require.NotContains(t, shop.run("doctor").stdout, "left over")
	require.NoError(t, os.Rename(shop.dir, shop.dir+"-moved"))
	shop.dir += "-moved"
	const left = `ok    left over   the database of %s, which is not there any more, in \S+, \d\S* MB: ` + "`rm -r \\S+` removes it; if that project is this one, `mv (\\S+) (\\S+)` brings its tasks here\n"
	found := regexp.MustCompile(fmt.Sprintf(left, real)).FindStringSubmatch(shop.run("doctor").stdout)
	require.Len(t, found, 3)
	require.Contains(t, other.run("doctor").stdout, "put it in the place of ", "there is one already")
	require.Contains(t, shop.run("doctor", "--output", "json").stdout, `{"check":"left over","ok":true,"detail":"the database of `+real)
	require.NoError(t, os.Rename(found[1], found[2]))
	require.Contains(t, shop.run("tasks", "list").stdout, "one")
	require.NotContains(t, shop.run("doctor").stdout, "left over")
}
