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

// unnest returns the table expression "unnest(…) as alias (…)". The columns are the
// statement's last parameters, from number first on.
func (c columns[R]) unnest(alias string, first int) string {
	arrays, names := make([]string, len(c)), make([]string, len(c))
	for i, col := range c {
		arrays[i], names[i] = fmt.Sprintf("$%d::%s[]", first+i, col.pgType), col.name
	}
	return "unnest(" + strings.Join(arrays, ", ") + ") as " + alias + " (" + strings.Join(names, ", ") + ")"
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
