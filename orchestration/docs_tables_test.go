package orchestration_test

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgtest"
	"github.com/tasker-rb/tasker-rb/orchestration"
)

// docs/tables.md has every column of every table and view of a migrated database, in the
// order of the database, with its type, and nothing else. Its statement can be run.
func TestGuideTablesOfTheDatabase(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	conn, err := pgx.Connect(ctx, pgtest.URL(t, pgtest.WithTemplate(orchestration.Migrate)))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close(context.Background())) })
	rows, err := conn.Query(ctx, `
		select c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull
		from pg_class c join pg_attribute a on a.attrelid = c.oid
		where c.relnamespace = 'tasker'::regnamespace and c.relkind in ('r', 'v') and a.attnum > 0 and not a.attisdropped
		order by c.relname, a.attnum`)
	require.NoError(t, err)
	there := map[string][]string{}
	for rows.Next() {
		var table, column, kind string
		var required bool
		require.NoError(t, rows.Scan(&table, &column, &kind, &required))
		kind = strings.Replace(kind, "timestamp with time zone", "timestamptz", 1)
		if !required {
			kind += ", null"
		}
		there[table] = append(there[table], fmt.Sprintf("| `%s` | %s |", column, kind))
	}
	require.NoError(t, rows.Err())

	text, err := os.ReadFile("../docs/tables.md")
	require.NoError(t, err)
	documented := map[string][]string{}
	for _, section := range strings.Split(string(text), "\n### ")[1:] {
		name, body, _ := strings.Cut(section, "\n")
		documented[strings.Trim(name, "`")] = regexp.MustCompile("(?m)^\\| `\\w+` \\| [^|]+ \\|").FindAllString(body, -1)
	}
	require.Equal(t, there, documented)

	version, err := orchestration.ReadSchema(ctx, conn)
	require.NoError(t, err)
	require.Contains(t, string(text), fmt.Sprintf("those of version %d,", version.Latest))
	statement := strings.TrimPrefix(strings.Split(string(text), "```")[1], "sql\n")
	_, err = conn.Exec(ctx, statement)
	require.NoError(t, err)
}
