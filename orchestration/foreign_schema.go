package orchestration

import (
	"context"
	"strings"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
)

// ErrSchemaForeign says that the schema tasker belongs to another program.
var ErrSchemaForeign = errors.New("the schema tasker is not tasker-rb's")

// foreignSQL tells the schema of this program, at any of its versions, from another
// program's that has the same name. It returns whether the version table is there and looks
// like ours, whether the table of tasks does, and what else is in the schema. What an
// administrator prepares, the schema itself and default privileges, is not in pg_depend or
// is not listed.
const foreignSQL = `
	select
		exists (select from pg_attribute where attrelid = to_regclass('` + versionTable + `') and attname = 'version' and atttypid = 'int4'::regtype),
		exists (select from pg_attribute where attrelid = to_regclass('tasker.tasks') and attname = 'digest' and not attisdropped),
		array(
			select pg_describe_object(d.classid, d.objid, d.objsubid) from pg_depend d
			where d.refclassid = 'pg_namespace'::regclass and d.refobjid = (select oid from pg_namespace where nspname = 'tasker')
			and d.deptype = 'n' and not (d.classid = 'pg_class'::regclass and d.objid = coalesce(to_regclass('` + versionTable + `'), 0))
			order by 1)`

// schemaContents is what is in the schema tasker.
type schemaContents struct {
	versionTable bool // one like ours
	taskTable    bool // one like ours
	others       []string
}

func readContents(ctx context.Context, conn *pgx.Conn) (c schemaContents, err error) {
	err = conn.QueryRow(ctx, foreignSQL).Scan(&c.versionTable, &c.taskTable, &c.others)
	return c, errors.Wrap(err, "looking into the schema tasker")
}

// foreign returns [ErrSchemaForeign] if the schema is another program's. version is what the
// version table says, read after the contents: a migration makes its tables and writes its
// version in one commit.
func (c schemaContents) foreign(version int32) error {
	switch {
	case len(c.others) == 0 && (c.versionTable || version == 0):
		return nil // empty, or after `migrate down 0`
	case c.versionTable && c.taskTable && version > 0:
		return nil
	}
	const most = 3
	listed := strings.Join(c.others[:min(len(c.others), most)], ", ")
	if len(c.others) > most {
		listed += ", …"
	}
	err := error(&schemaError{ErrSchemaForeign, ErrSchemaForeign.Error() + ": it has " + listed})
	err = errors.WithHint(err, "tasker-rb keeps its tables in a schema of this name. Rename the other one (ALTER SCHEMA tasker RENAME TO ...), "+
		"or use another database.")
	if c.versionTable && version == 0 {
		err = errors.WithHint(err, "An earlier `migrate up` has left "+versionTable+" there; it can be dropped.")
	}
	return err
}
