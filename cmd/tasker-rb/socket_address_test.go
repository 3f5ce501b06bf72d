package main

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

func TestTheTwoFormsOfASocketsAddress(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ inQuery, asHost string }{
		{"postgres://tasker@/shop?host=%2Frun%2Fpg&port=5432", "postgres://tasker@%2Frun%2Fpg:5432/shop"},
		{"postgresql://a:p%40w@/shop?host=%2Fa%20b&port=1&sslmode=disable", "postgresql://a:p%40w@%2Fa%20b:1/shop?sslmode=disable"},
		{"postgres://a@/shop?host=%2Frun", "postgres://a@%2Frun/shop"},
		{"postgres://a@/shop?host=%2Frun&options=-c%20search_path%3Dpublic", "postgres://a@%2Frun/shop?options=-c%20search_path%3Dpublic"},
	} {
		require.Equal(t, c.asHost, forRuby(c.inQuery))
		require.Equal(t, c.inQuery, forGo(c.asHost))
		config, err := pgx.ParseConfig(forGo(c.asHost))
		require.NoError(t, err)
		require.Equal(t, "/", config.Host[:1])
		require.Equal(t, "shop", config.Database)
	}
	for _, other := range []string{
		"postgres://a@localhost/shop?host=%2Frun", "postgres://a@db/shop", "postgres:///shop?host=/run", "host=/run dbname=shop", "postgres://a@/shop", "", "%",
	} {
		require.Equal(t, other, forRuby(other))
		require.Equal(t, other, forGo(other))
	}
	require.Equal(t, "postgres://?host=%2Frun", forGo("postgres://%2Frun"))
}

// Ruby programs that a suite starts have its address, in Ruby's form.
func TestAnAddressInRubysForm(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	p.url = forRuby(p.url)
	require.Contains(t, p.url, "@%2F")
	require.Equal(t, "1\n", p.run("ruby", "-e", "p Tasker.db.first('SELECT 1 AS one')['one']").stdout)
}
