package sqlsession

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestClassify(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string][]kind{
		"":                                   nil,
		" ; ;; -- nothing":                   nil,
		"select 1":                           {other},
		"COMMIT":                             {commits},
		"  /* a /* nested */ one */ commit":  {commits},
		"-- first\ncommit and chain":         {commits},
		"end":                                {commits},
		"End Transaction":                    {commits},
		"rollback":                           {rollsBack},
		"ROLLBACK WORK AND CHAIN":            {rollsBack},
		"abort":                              {rollsBack},
		"begin":                              {begins},
		"BEGIN ISOLATION LEVEL SERIALIZABLE": {begins},
		"start transaction read only":        {begins},
		"prepare transaction 'x'":            {commits},
		"commit prepared 'x'":                {commits},
		"rollback prepared 'x'":              {rollsBack},
		"prepare p as select 1":              {lingers},
		"savepoint a":                        {saves},
		"release a":                          {releases},
		"release savepoint a":                {releases},
		"rollback to a":                      {returns},
		"rollback work to savepoint \"A b\"": {returns},
		"insert into t values (1); commit; select 2": {other, commits, other},
		"select 'a; commit; b'":                      {other},
		"select 'it''s; commit'; rollback":           {other, rollsBack},
		`select E'it\'s; commit'`:                    {other},
		`select 'back\'; commit`:                     {other, commits},
		`select name'x; commit'`:                     {other},
		`select "a; commit"`:                         {other},
		"do $$ begin commit; end $$":                 {other},
		"do $tag$ $$; commit; $$ $tag$; commit":      {other, commits},
		"select $1; commit":                          {other, commits},
		"select a$b$c; commit":                       {other, commits},
		"create function f() returns int language sql begin atomic select 1; select case when true then 1 end; end": {other},
		"create function f() returns int language sql begin atomic select 1; end; commit":                           {other, commits},
		"set search_path = a":                                      {sets},
		"set session search_path to a":                             {sets},
		"set local search_path to a":                               {other},
		"set transaction isolation level serializable":             {other},
		"set session characteristics as transaction read only":     {lingers},
		"set constraints all deferred":                             {other},
		"set time zone 'UTC'":                                      {sets},
		"set role x":                                               {sets},
		"do $$ begin set role x; end $$":                           {lingers},
		"do $$ begin set local role x; update t set a = 1; end $$": {other},
		"do $$ begin execute 'reset role'; end $$":                 {lingers},
		"update pg_settings set setting = 1 where name = 'a'":      {lingers},
		"insert into t select set_config('a.b', '1', false)":       {lingers},
		"reset all":                   {resets},
		"discard all":                 {resets},
		"listen x":                    {listens},
		"notify x, 'y'":               {other},
		"create temp table t (a int)": {lingers},
		"create temporary table t on commit drop as select 1":             {other},
		"create table temp (a int)":                                       {other},
		"create or replace temp view v as select 1":                       {lingers},
		"select * from templates":                                         {other},
		"select 1 into temp t":                                            {lingers},
		"select pg_advisory_lock(1)":                                      {lingers},
		"select pg_advisory_xact_lock(1)":                                 {other},
		"select pg_try_advisory_lock_shared(1)":                           {lingers},
		"select set_config('a.b', '1', true)":                             {other},
		"select set_config('a.b', '1', false)":                            {lingers},
		"declare c cursor for select 1":                                   {other},
		"declare c cursor with hold for select 1":                         {lingers},
		"declare c no scroll cursor without hold for select 1":            {other},
		"copy t from stdin":                                               {copiesIn},
		"copy t (" + strings.Repeat("a, ", 80) + "b) from stdin with csv": {copiesIn},
		"copy (select 1) to stdout":                                       {copiesOut},
		"copy t to '/tmp/x'":                                              {other},
		"unterminated 'string; commit":                                    {other},
		"/* unterminated; commit":                                         nil,
		"$$ unterminated; commit":                                         nil,
		"\ufeffcommit":                                                    {other},
		`"commit"`:                                                        {other},
	} {
		var got []kind
		for _, s := range classify(sql) {
			got = append(got, s.kind)
		}
		require.Equal(t, want, got, sql)
	}
}

func TestSavepointNames(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]string{
		"savepoint Abc":                        "abc",
		`savepoint "Abc ""d"""`:                `Abc "d"`,
		"release savepoint":                    "savepoint",
		"rollback to savepoint /* x */ a_1":    "a_1",
		"rollback transaction to savepoint":    "savepoint",
		"ROLLBACK TO SAVEPOINT ünïcode -- end": "ünïcode",
	} {
		all := classify(sql)
		require.Len(t, all, 1, sql)
		require.Equal(t, want, all[0].name, sql)
	}
}
