package testbed

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOtherClocksInSQL(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string][]string{
		"select Current_Timestamp, CURRENT_TIMESTAMP(3)":                 {"current_timestamp"},
		"select localtimestamp, current_date":                            {"localtimestamp", "current_date"},
		"select clock_timestamp(), pg_catalog . now ()":                  {"clock_timestamp()", "pg_catalog.now()"},
		`select "pg_catalog".now()`:                                      {"pg_catalog.now()"},
		"select now(), clock_timestamp, tasker_testbed.now()":            nil,
		"select 'current_date', E'\\'current_date', $$current_date$$":    nil,
		"select $a$ $$ current_date $a$, current_time":                   {"current_time"},
		"select 1 /* current_date /* */ current_date */ -- current_date": nil,
		"select 1 -- a\n, current_date":                                  {"current_date"},
		"select 'it''s', \"a\"\"current_date\", current_dates, $1":       nil,
		"select 'open current_date":                                      nil,
		"":                                                               nil,
	} {
		require.Equal(t, want, otherClocks(sqlWords(sql)), sql)
	}
}

func TestInsertionsInSQL(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string][]insertion{
		"insert into Orders (id, At) values (1, 2)":                       {{table: "orders", columns: []string{"id", "at"}}},
		`INSERT INTO "Sales"."Orders" AS o ("At") SELECT now()`:           {{schema: "Sales", table: "Orders", columns: []string{"At"}}},
		"with a as (insert into b values (1)) insert into c (d) select 1": {{table: "b"}, {table: "c", columns: []string{"d"}}},
		"insert into a (select 1)":                                        {{table: "a"}},
		"insert into a default values":                                    {{table: "a"}},
		"copy a (b) from stdin":                                           {{table: "a", columns: []string{"b"}}},
		"copy a to stdout":                                                nil,
		"select 'insert into a'":                                          nil,
		"insert into":                                                     nil,
	} {
		require.Equal(t, want, insertions(sqlWords(sql)), sql)
	}
	d := clockDefault{schema: "public", table: "orders", column: "at"}
	require.True(t, insertion{table: "orders"}.leaves(d))
	require.False(t, insertion{table: "orders", columns: []string{"at"}}.leaves(d))
	require.False(t, insertion{schema: "other", table: "orders"}.leaves(d))
}
