package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDoctor(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"one.yaml": one("Fine"), "lost.yaml": one("Lost"), "handlers/fine.rb": fine})
	r := p.run("doctor", "--template", "one.yaml")
	require.Zero(t, r.code, r.stdout)
	require.Regexp(t, `^ok    Ruby        CRuby \d\.\d+\.\d+, booted in this process
ok    gems        .*
ok    handlers    all there
ok    PostgreSQL  \d+.* at postgres://.*
ok    tables      current
$`, r.stdout)

	r = p.run("doctor", "--template", "lost.yaml")
	require.Equal(t, exitTaskFailed, r.code)
	require.Regexp(t, `(?m)^FAIL  handlers    lost.yaml:3:\d+: .*there is no class Lost`, r.stdout)

	p.url = "postgres://app:secret@127.0.0.1:1/x"
	r = p.run("doctor")
	require.Equal(t, exitTaskFailed, r.code)
	requireInOrder(t, r.stdout, "ok    Ruby", "FAIL  PostgreSQL  the database at postgres://app@127.0.0.1:1/x cannot be reached", "Start that server")

	empty := emptyProject(t)
	r = empty.run("doctor")
	require.Equal(t, exitTaskFailed, r.code)
	requireInOrder(t, r.stdout, "FAIL  tables", "no tables", "tasker-rb migrate up")
	require.Equal(t, -1, empty.written())
}
