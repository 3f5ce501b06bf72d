package main

import (
	"cmp"
	"log/slog"
	"net/url"
	"strings"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/rubysteps"
	"github.com/tasker-rb/tasker-rb/orchestration/rubysteps/rubytest"
	"github.com/tasker-rb/tasker-rb/orchestration/testbed"
	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// serveTests answers what Tasker::Testing asks, on the database under test. Connections that
// are opened to db afterwards read the time of the tests in now().
func (t *testCommand) serveTests(cmd *cobra.Command, host *rubyhost.Host, db *database, l testLayout, log *slog.Logger) (closeTests func() error, err error) {
	ctx := cmd.Context()
	events := &rubysteps.Events{}
	if err := events.Serve(ctx, host, log); err != nil {
		return nil, err
	}
	own := cmp.Or(db.direct, db.url) // the engine needs a backend of its own, which a pooler may not give
	bed, err := testbed.Open(ctx, testbed.Config{
		URL: own, SQLClock: true, Logger: log, Engine: orchestration.Config{Handlers: rubysteps.New(host), OnEvent: events.OnEvent, Logger: log},
	})
	if err != nil {
		return nil, err
	}
	if db.direct == "" { // a pooler refuses it
		db.url = withOption(db.url, "search_path", bed.SearchPath())
	}
	err = rubytest.Serve(ctx, host, rubytest.Config{
		Bed: bed, Templates: l.templates, Kill: t.kill(cmd, withOption(own, "search_path", bed.SearchPath())), Events: events, Logger: log,
	})
	if err != nil {
		return nil, errors.CombineErrors(err, bed.Close())
	}
	return bed.Close, nil
}

// withOption returns the address with a setting for all its connections, in the form that
// libpq and pgx both know.
func withOption(address, setting, value string) string {
	option := "-c " + setting + "=" + strings.ReplaceAll(value, " ", "")
	u, err := url.Parse(address)
	if err != nil || u.Scheme == "" {
		return address + " options='" + option + "'" // key=value
	}
	query := u.Query()
	query.Set("options", strings.TrimSpace(query.Get("options")+" "+option))
	u.RawQuery = queryForLibpq(query)
	return u.String()
}
