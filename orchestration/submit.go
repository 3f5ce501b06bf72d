package orchestration

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"

	"github.com/tasker-rb/tasker-rb/templates"
)

// Submission is a task to be. Only Template is required.
type Submission struct {
	Template *templates.Template
	Context  json.RawMessage // an object; it is checked against the template's schema

	// IdentityByContent makes the submission happen once for its namespace, name,
	// version and context, defaults filled in, whatever the order of the keys.
	IdentityByContent bool

	// IdentityKey makes the submission happen once: a second one with the
	// same key finds the first one's task. At most 2000 bytes. Empty for none.
	IdentityKey string

	Initiator    string // who submits it
	SourceSystem string // from where
	Reason       string // why
	Tags         []string
	Priority     int16     // higher first
	RunAt        time.Time // not before; zero for at once
}

// Submitted is the task that a submission made or found.
type Submitted struct {
	TaskID  int64
	Existed bool // the identity key was there: nothing was written
}

// ErrTemplateChanged says that a template differs from the one that was stored under
// the same namespace, name, version and environment.
var ErrTemplateChanged = errors.New("the template has changed under the same version")

// Submit writes the task, its steps and their edges in one transaction. The
// error of a context that the schema refuses is a [*templates.ContextError].
func (e *Engine) Submit(ctx context.Context, s Submission) (Submitted, error) {
	var done Submitted
	err := pgx.BeginFunc(ctx, e.pool, func(tx pgx.Tx) (err error) {
		done, err = e.SubmitTx(ctx, tx, s)
		return err
	})
	if err == nil {
		e.templates.Store(s.Template.Digest(), s.Template)
	}
	return done, err
}

// SubmitTx is Submit in a transaction of the caller's: the task is there when
// that commits.
func (e *Engine) SubmitTx(ctx context.Context, tx pgx.Tx, s Submission) (Submitted, error) {
	if err := s.check(); err != nil {
		return Submitted{}, err
	}
	digest := s.Template.Digest()
	if err := e.storeTemplate(ctx, tx, s.Template, digest); err != nil {
		return Submitted{}, err
	}
	return e.insertTask(ctx, tx, s, digest)
}

// errNoLongerThere: a duplicate was found by the index and then not by its key.
var errNoLongerThere = errors.WithHint(errors.New("the task of that identity was being removed"), "Submit it again.")

// maxIdentityKey is what PostgreSQL's index surely takes.
const maxIdentityKey = 2000

// check fills in defaults, and refuses what cannot be kept.
func (s *Submission) check() error {
	if s.Template == nil {
		return errors.New("orchestration: Submission.Template is missing")
	}
	for _, text := range append([]string{s.IdentityKey, s.Initiator, s.SourceSystem, s.Reason}, s.Tags...) {
		if storableText(text) != text {
			return errors.WithHint(errors.Newf("orchestration: %q cannot be kept", text),
				"Identity, initiator, source system, reason and tags are UTF-8 without NUL characters.")
		}
	}
	if n := len(s.IdentityKey); n > maxIdentityKey {
		return errors.WithHintf(errors.Newf("orchestration: IdentityKey has %d bytes, and %d at most", n, maxIdentityKey), "Use a hash of it as the key.")
	}
	if len(s.Context) == 0 {
		s.Context = json.RawMessage("{}")
	}
	filled, err := s.Template.ValidateContext(s.Context)
	if err != nil {
		return err
	}
	s.Context = filled
	if !s.IdentityByContent {
		return nil
	}
	if s.IdentityKey != "" {
		return errors.WithHint(errors.New("orchestration: Submission has both IdentityKey and IdentityByContent"), "Choose one.")
	}
	s.IdentityKey, err = contentKey(s.Template, s.Context)
	return err
}

// contentKey is the same for the same task. The order of keys is not part of
// it; the way a number is written is.
func contentKey(t *templates.Template, context json.RawMessage) (string, error) {
	d := json.NewDecoder(bytes.NewReader(context))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return "", errors.Wrap(err, "the context")
	}
	sum := sha256.Sum256(mustMarshal([]any{t.Namespace, t.Name, t.Version, value}))
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// storeTemplate keeps the template as it is now: a task goes on with the one
// that it began with.
func (e *Engine) storeTemplate(ctx context.Context, tx pgx.Tx, t *templates.Template, digest string) error {
	if _, known := e.templates.Load(digest); known {
		return nil
	}
	var stored, document string
	err := tx.QueryRow(ctx, `
		with i as (
			insert into tasker.templates (digest, namespace, name, version, environment, document)
			values ($1, $2, $3, $4, $5, $6)
			on conflict do nothing
			returning digest)
		select digest, '' from i
		union all
		select digest, document::text from tasker.templates
		where namespace = $2 and name = $3 and version = $4 and environment = $5
		limit 1`,
		digest, t.Namespace, t.Name, t.Version, t.Environment, string(t.Encode())).Scan(&stored, &document)
	if errors.Is(err, pgx.ErrNoRows) {
		// Another transaction stored it and had not committed when we looked,
		// or it is stored under another name: the digest decides.
		err = tx.QueryRow(ctx, `select digest, '' from tasker.templates where digest = $1`, digest).Scan(&stored, &document)
	}
	if err != nil {
		return errors.Wrap(err, "storing the template")
	}
	if stored == digest {
		return nil
	}
	before, err := templates.Decode([]byte(document))
	if err != nil {
		return errors.Wrapf(err, "the stored template %s", t.ID())
	}
	return errors.WithHint(kindOf(ErrTemplateChanged, "the template %s has changed under the same version\n%s", t.ID(), strings.TrimRight(templates.Diff(before, t), "\n")),
		"Give the changed template a new version; tasks that run keep the old one.")
}

func (e *Engine) insertTask(ctx context.Context, tx pgx.Tx, s Submission, digest string) (Submitted, error) {
	t := s.Template
	names, limits, retryable := stepColumns(t)
	var parents, children []string
	for _, step := range t.Steps {
		for _, p := range step.Parents {
			parents, children = append(parents, p), append(children, step.Name)
		}
	}
	now := e.now()
	runAt := s.RunAt
	if runAt.IsZero() {
		runAt = now
	}
	var id int64
	err := tx.QueryRow(ctx, `
		with k as (
			insert into tasker.tasks (digest, namespace, name, version, context, identity_key,
				initiator, source_system, reason, tags, priority, run_at, wake_at, created_at)
			values ($1, $2, $3, $4, $5, nullif($6, ''), nullif($7, ''), nullif($8, ''), nullif($9, ''), $10, $11, $12, $12, $13)
			on conflict (identity_key) do nothing
			returning task_id),
		s as (
			insert into tasker.steps (task_id, name, position, retry_limit, retryable)
			select k.task_id, u.name, u.position - 1, u.retry_limit, u.retryable
			from k, unnest($14::text[], $15::int[], $16::bool[]) with ordinality as u (name, retry_limit, retryable, position)
			returning step_id, name, task_id),
		d as (
			insert into tasker.edges (task_id, parent_id, child_id)
			select p.task_id, p.step_id, c.step_id
			from unnest($17::text[], $18::text[]) as u (parent, child)
			join s p on p.name = u.parent join s c on c.name = u.child),
		w as (
			insert into tasker.task_transitions (task_id, to_state, reason, at)
			select task_id, 'pending', 'submitted', $13 from k)
		select task_id, pg_notify('tasker_wake', '') from k`,
		digest, t.Namespace, t.Name, t.Version, string(s.Context), s.IdentityKey,
		s.Initiator, s.SourceSystem, s.Reason, nonNil(s.Tags), s.Priority, runAt, now,
		names, limits, retryable, parents, children).Scan(&id, nil)
	if err == nil {
		return Submitted{TaskID: id}, nil
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return Submitted{}, errors.Wrap(err, "submitting the task")
	}
	err = tx.QueryRow(ctx, `select task_id from tasker.tasks where identity_key = $1`, s.IdentityKey).Scan(&id)
	return Submitted{TaskID: id, Existed: true}, errors.Wrap(err, "finding the task of that identity key")
}

func stepColumns(t *templates.Template) (names []string, limits []int32, retryable []bool) {
	for _, s := range t.Steps {
		names, limits, retryable = append(names, s.Name), append(limits, int32(s.RetryLimit)), append(retryable, s.Retryable)
	}
	return names, limits, retryable
}
