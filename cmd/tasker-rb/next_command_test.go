package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The command that a failed run prints works as it is pasted: with the code of that run, and
// not with that of an unrelated folder.
func TestTheNextCommandHasTheCodeOfTheRun(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{
		"my shop/order.yaml": threeSteps, "my shop/handlers/order.rb": threeHandlers,
		"split/app/order.rb": strings.Split(threeHandlers, "class Charge")[0], "split/lib/charge.rb": "class Charge" + strings.Split(threeHandlers, "class Charge")[1],
		"handlers/other.rb": "class Reserve\n  def process(*) = raise('this is another project')\nend\n",
	})
	p.env = []string{"PATH=" + filepath.Dir(binary) + ":" + os.Getenv("PATH")}
	next := func(args ...string) string {
		t.Helper()
		failed := p.run(args...)
		require.Equal(t, exitTaskFailed, failed.code, failed.stderr)
		m := regexp.MustCompile(`\n  (tasker-rb run --task .*?)  +retry the failed steps here\n`).FindStringSubmatch(failed.stdout)
		require.NotNil(t, m, failed.stdout)
		return m[1]
	}
	command := next("run", "my shop/order.yaml")
	require.Equal(t, `tasker-rb run --task 1 --handlers 'my shop/handlers'`, command)
	again := next("run", "--task", "1", "--handlers", "my shop/handlers")
	require.Equal(t, command, again)
	long := next("run", "my shop/order.yaml", "--handlers", "split/app", "-I", "split/lib", "--require", "charge", "--threads=1")
	require.Equal(t, `tasker-rb run --task 2 --handlers split/app --require charge --load-path split/lib --threads 1`, long)
	p.write(map[string]string{"open": ""})
	for _, c := range []string{command, long} {
		pasted := p.command()
		pasted.Path, pasted.Args = "/bin/sh", []string{"sh", "-c", c}
		done := p.finish(pasted)
		require.Zero(t, done.code, done.stdout+done.stderr)
	}
}

// What is done with an exported task says which folders it needs, if they are not here.
func TestTheCommandForAnExportSaysWhatItNeeds(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"shop/order.yaml": threeSteps, "shop/handlers/order.rb": threeHandlers, "open": ""})
	require.Zero(t, p.run("run", "shop/order.yaml").code)

	require.Equal(t, "task.json has task 1; repeat it with `tasker-rb run --from task.json --handlers DIR`, where DIR has its handlers\n",
		p.run("tasks", "export", "1", "task.json").stdout)
	require.Equal(t, "shop/a b.json has task 1; repeat it with `tasker-rb run --from 'shop/a b.json'`\n", p.run("tasks", "export", "1", "shop/a b.json").stdout)
	require.Equal(t, "order_spec.rb repeats task 1; run it with `tasker-rb test order_spec.rb --templates DIR`, where DIR has the template default/order 0.1.0\n",
		p.run("tasks", "export", "1", "--spec", "order_spec.rb").stdout)
	p.write(map[string]string{"order.yaml": threeSteps})
	require.Equal(t, "two_spec.rb repeats task 1; run it with `tasker-rb test two_spec.rb --handlers DIR`, where DIR has its handlers\n",
		p.run("tasks", "export", "1", "--spec", "two_spec.rb").stdout)
	shop := *p
	shop.dir = filepath.Join(p.dir, "shop")
	require.Equal(t, "three_spec.rb repeats task 1; run it with `tasker-rb test three_spec.rb`\n", shop.run("tasks", "export", "1", "--spec", "three_spec.rb").stdout)
}
