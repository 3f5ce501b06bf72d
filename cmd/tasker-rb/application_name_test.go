package main

import (
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgproxy"
)

// Every connection of every command has a name, which begins with the user's own if
// DATABASE_URL or PGAPPNAME gives one.
func TestEveryConnectionHasAName(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ inURL, inEnvironment, pattern string }{
		{"", "", `^tasker-rb(:[0-9a-z]{12,})?$`},
		{"billing", "", `^billing( tasker-rb:[0-9a-z]{12,})?$`},
		{"", "nightly", `^nightly( tasker-rb:[0-9a-z]{12,})?$`},
	} {
		t.Run(c.inURL+c.inEnvironment, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, map[string]string{
				"one.yaml": one("Asks"),
				"handlers/asks.rb": `class Asks
  def process(*) = Tasker.db.first("select count(*) as n from pg_stat_activity where application_name = ''
    and datname = current_database() and backend_type = 'client backend'")["n"]
end`,
			})
			proxy := pgproxy.Start(t, p.url)
			direct := p.url
			p.url = proxy.URL(p.url)
			if c.inURL != "" {
				u, err := url.Parse(p.url)
				require.NoError(t, err)
				q := u.Query()
				q.Set("application_name", c.inURL)
				u.RawQuery = q.Encode()
				p.url = u.String()
			}
			if c.inEnvironment != "" {
				p.env = append(p.env, "PGAPPNAME="+c.inEnvironment)
			}
			before := 0
			checked := func(what string) {
				t.Helper()
				names := namesOf(proxy)
				require.Greater(t, len(names), before, what)
				before = len(names)
				for _, name := range names {
					require.Regexp(t, c.pattern, name, what)
				}
			}
			for _, args := range [][]string{
				{"migrate", "status"}, {"migrate", "up"}, {"doctor"}, {"submit", "one.yaml"}, {"tasks", "list"}, {"tasks", "show", "1"},
				{"run", "one.yaml"}, {"tasks", "cancel", "1"}, {"ruby", "-e", `Tasker.db.exec("select 1")`},
			} {
				r := p.run(args...)
				require.Zero(t, r.code, r.stderr+r.stdout)
				checked(strings.Join(args, " "))
			}
			worker, out := startWorker(t, p)
			require.Zero(t, p.run("submit", "one.yaml").code)
			require.Eventually(t, out.says("task complete"), patience, 5*time.Millisecond, out)
			checked("worker")
			here := *p
			here.url = direct
			require.Equal(t, 1, here.count("select count(*) from tasker.workers w where exists (select from pg_stat_activity a where a.application_name = w.application_name)"),
				"the engine's connections are found by its name")
			require.NoError(t, worker.Process.Signal(syscall.SIGTERM))
			require.NoError(t, worker.Wait(), out)
			require.Equal(t, 2, here.count("select count(*) from tasker.attempts where results::text = '0'"))
		})
	}
}

// namesOf returns the names of all connections that the server has accepted, those that have
// ended included. One that is being opened has not said its name yet.
func namesOf(proxy *pgproxy.Proxy) (names []string) {
	proxy.Traffic(func(c pgproxy.Connection) bool {
		if c.PID != 0 {
			names = append(names, c.ApplicationName)
		}
		return false
	})
	return names
}
