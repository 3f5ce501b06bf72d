package runner

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// connections counts the connections to the database, and the statements that they have
// prepared. No step runs, so all of them are idle, but for the engine's own.
//
// Each keeps what is no growth, but would look like it:
//   - The buffers of its last statements, which a large parameter makes large. So each sends
//     the same statement now.
//   - Statements, types and lengths that it has met. The pool takes the connection first that
//     came back last, so that some would learn them only after thousands of steps. So they
//     come back in another order each time.
func (r *engineRuns) connections(ctx context.Context) (connections, prepared int64, err error) {
	idle := r.engine.Pool().AcquireAllIdle(ctx)
	for _, c := range idle {
		var n int64
		_, levelErr := c.Exec(ctx, levelText, levelArguments...)
		countErr := c.QueryRow(ctx, "select count(*) from pg_prepared_statements", pgx.QueryExecModeSimpleProtocol).Scan(&n)
		err = errors.CombineErrors(err, errors.CombineErrors(levelErr, countErr))
		prepared += n
	}
	slices.SortFunc(idle, func(a, b *pgxpool.Conn) int { return cmp.Compare(a.Conn().PgConn().PID(), b.Conn().PgConn().PID()) })
	for i := range idle {
		idle[(i+r.turns)%len(idle)].Release()
	}
	r.turns++
	return int64(r.engine.Pool().Stat().TotalConns()), prepared, errors.Wrap(err, "counting prepared statements")
}

// levelParameters are one more than those for which a connection of pgx keeps its buffers.
const levelParameters = 65

// levelText has so many parameters that the connection takes new buffers, of its usual sizes.
var levelText, levelArguments = func() (string, []any) {
	columns, arguments := make([]string, levelParameters), []any{pgx.QueryExecModeExec}
	for i := range columns {
		columns[i] = "$" + strconv.Itoa(i+1) + "::int8"
		arguments = append(arguments, 0)
	}
	return "select " + strings.Join(columns, ", "), arguments
}()
