package orchestration

import (
	"fmt"
	"strings"
)

// columns declares rows of type R that a statement takes as arrays, one for each
// column. The statement's text and its arguments both come from this declaration.
type columns[R any] []column[R]

type column[R any] struct {
	name, pgType string
	values       func(rows []R) any
}

// newColumn declares a column by its name and type in SQL, and its value in a row.
func newColumn[R, V any](name, pgType string, value func(R) V) column[R] {
	return column[R]{name: name, pgType: pgType, values: func(rows []R) any {
		list := make([]V, len(rows))
		for i, r := range rows {
			list[i] = value(r)
		}
		return list
	}}
}

// unnest returns the table expression "unnest(…) as alias (…)". The columns are
// parameters $first, $first+1, …
func (c columns[R]) unnest(alias string, first int) string {
	arrays, names := c.parts(first)
	return "unnest(" + arrays + ") as " + alias + " (" + names + ")"
}

// unnestInOrder is unnest with one more column, which counts the rows from 1.
func (c columns[R]) unnestInOrder(alias string, first int, counter string) string {
	arrays, names := c.parts(first)
	return "unnest(" + arrays + ") with ordinality as " + alias + " (" + names + ", " + counter + ")"
}

// parts are the arrays and the names of the columns, in SQL.
func (c columns[R]) parts(first int) (arrays, names string) {
	as, ns := make([]string, len(c)), make([]string, len(c))
	for i, col := range c {
		as[i], ns[i] = fmt.Sprintf("$%d::%s[]", first+i, col.pgType), col.name
	}
	return strings.Join(as, ", "), strings.Join(ns, ", ")
}

// args returns the statement's arguments: the single values, and then the columns.
func (c columns[R]) args(rows []R, single ...any) []any {
	args := make([]any, 0, len(single)+len(c))
	args = append(args, single...)
	for _, col := range c {
		args = append(args, col.values(rows))
	}
	return args
}
