package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMigrate(t *testing.T) {
	t.Parallel()
	p := emptyProject(t)
	require.JSONEq(t, `{"version": 0, "latest": 6, "current": false}`, p.run("migrate", "status", "--output", "json").stdout)
	require.Equal(t, "version 6 of 6\n", p.run("migrate", "up").stdout)
	require.Equal(t, "version 6 of 6\n", p.run("migrate", "up").stdout, "a second time changes nothing")
	require.JSONEq(t, `{"version": 6, "latest": 6, "current": true}`, p.run("migrate", "status", "--output", "json").stdout)
	require.Zero(t, p.run("run", "one.yaml").code)
	require.Equal(t, "version 0 of 6\n", p.run("migrate", "down", "0").stdout)
	require.Equal(t, -1, p.written())
	require.Zero(t, p.run("run", "one.yaml", "--migrate").code)
}
