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
// administrator prepares, the schema itself and default privileges, is not listed. It needs
// no rights on the schema: another program's may give none.
const foreignSQL = `
	with s as (select oid from pg_namespace where nspname = 'tasker'),
	c as (select c.oid, c.relname from pg_class c join s on c.relnamespace = s.oid where c.relname in ('schema_version', 'tasks'))
	select
		exists (select from c join pg_attribute a on a.attrelid = c.oid
			where c.relname = 'schema_version' and a.attname = 'version' and a.atttypid = 'int4'::regtype),
		exists (select from c join pg_attribute a on a.attrelid = c.oid
			where c.relname = 'tasks' and a.attname = 'digest' and not a.attisdropped),
		array(
			select pg_describe_object(d.classid, d.objid, d.objsubid) from pg_depend d join s on d.refobjid = s.oid
			where d.refclassid = 'pg_namespace'::regclass and d.deptype = 'n'
			and not (d.classid = 'pg_class'::regclass and d.objid in (select oid from c where relname = 'schema_version'))
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
