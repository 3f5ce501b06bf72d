package orchestration

import (
	"context"
	"fmt"
	"strings"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"

	"github.com/tasker-rb/tasker-rb/templates"
)

// storeTemplateSQL stores a template unless one of the same identity exists. It returns
// the digest of the stored one and, if that existed, its document. Its parameters:
// $1 digest, $2 namespace, $3 name, $4 version, $5 environment, $6 document.
const storeTemplateSQL = `
	with i as (
		insert into tasker.templates (digest, namespace, name, version, environment, document)
		values ($1, $2, $3, $4, $5, $6)
		on conflict do nothing
		returning digest)
	select digest, '' from i
	union all
	select digest, document::text from tasker.templates
	where namespace = $2 and name = $3 and version = $4 and environment = $5
	limit 1`

// storedTemplateSQL returns the same for a digest that is stored already.
const storedTemplateSQL = `select digest, '' from tasker.templates where digest = $1`

// storeTemplate keeps the template with its tasks: a task continues with the template
// that it began with. With replace it takes the place of a stored one that differs, and
// returns that one.
func (e *Engine) storeTemplate(ctx context.Context, tx pgx.Tx, t *templates.Template, digest string, replace bool) (*templates.Template, error) {
	if replace { // also one that is remembered: another may have its place meanwhile
		if replaced, done, err := replaceTemplate(ctx, tx, t, digest); done || err != nil {
			return replaced, err
		}
	}
	if _, known := e.templates.Load(digest); known {
		return nil, nil
	}
	var stored, document string
	err := tx.QueryRow(ctx, storeTemplateSQL,
		digest, t.Namespace, t.Name, t.Version, t.Environment, string(t.Encode())).Scan(&stored, &document)
	if errors.Is(err, pgx.ErrNoRows) {
		// Another transaction stored it and had not committed when the statement
		// began, or it is stored under another name. The digest identifies it.
		err = tx.QueryRow(ctx, storedTemplateSQL, digest).Scan(&stored, &document)
	}
	if err != nil {
		return nil, errors.Wrap(err, "storing the template")
	}
	if stored == digest {
		return nil, nil
	}
	before, err := templates.Decode([]byte(document))
	if err != nil {
		return nil, errors.Wrapf(err, "the stored template %s", t.ID())
	}
	return nil, templateChanged(before, t)
}

// mostChanges is how many changes of a template an error lists.
const mostChanges = 12

func templateChanged(before, t *templates.Template) error {
	changes := templates.Changes(before, t)
	if more := len(changes) - mostChanges; more > 0 {
		changes = append(changes[:mostChanges], fmt.Sprintf("and %d more", more))
	}
	return errors.WithHint(errorOf(ErrTemplateChanged, "the template %s has changed under the same version\n%s", t.ID(), strings.Join(changes, "\n")),
		"Give the changed template a new version; tasks that run keep the old one.")
}
