package orchestration

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"

	"github.com/tasker-rb/tasker-rb/templates"
)

// Submission describes a new task. Only Template is required.
type Submission struct {
	Template *templates.Template
	Context  json.RawMessage // an object; it is checked against the template's schema

	// IdentityByContent makes the submission happen once for its namespace, name,
	// version and context. The context is compared with defaults filled in, and
	// without regard to the order of its keys.
	IdentityByContent bool

	// IdentityKey makes the submission happen once: a second one with the same key
	// finds the task of the first. At most 2000 bytes. Empty means no key.
	IdentityKey string

	Initiator    string // the person or program that submits it
	SourceSystem string // where it comes from
	Reason       string
	Tags         []string
	Priority     int16     // higher first
	RunAt        time.Time // the task starts no earlier; zero means at once

	// SingleAttempt gives each step one attempt, whatever its template says.
	SingleAttempt bool

	// ReplaceTemplate lets a changed template take the place of the stored one of the same
	// version. Tasks of that one keep it. The database must be marked with
	// [MarkDevelopment]; otherwise the error is [ErrNotForDevelopment].
	ReplaceTemplate bool

	// Held keeps workers away from the task, because this program runs it itself, with
	// [Engine.Run]. Workers may take the task when Run has returned before its end, and when
	// the engine is closed or dead. The task is in progress at once. Held excludes RunAt, and is
	// not for [Engine.SubmitMany].
	Held bool

	// NoWake leaves it to the caller to wake the workers, with [Engine.Wake] after the
	// commit. In [Engine.SubmitManyTx] it counts if every submission has it.
	NoWake bool
}

// Submitted is the task that a submission created or found.
type Submitted struct {
	TaskID  int64
	Existed bool // the identity already existed, and nothing was written

	// Replaced is the template whose place ReplaceTemplate has taken, or nil.
	Replaced *templates.Template
}

// ErrTemplateChanged says that a template differs from the stored template of the same
// namespace, name, version and environment.
var ErrTemplateChanged = errors.New("the template has changed under the same version")

// Submit writes the task and its steps in one transaction. If the context does not fit
// the template's schema, or what Config.Handlers knows as a [ContextChecker], the error is a
// [*templates.ContextError].
func (e *Engine) Submit(ctx context.Context, s Submission) (Submitted, error) {
	var done Submitted
	if err := e.askHandlers(ctx, &s); err != nil {
		return done, err
	}
	err := e.inOwnTx(ctx, func(tx pgx.Tx) (err error) {
		quiet := s
		quiet.NoWake = true // until it is committed
		done, err = e.submitTx(ctx, tx, quiet)
		return err
	})
	if err == nil {
		e.templates.Store(s.Template.Digest(), s.Template)
	}
	if err == nil && !s.NoWake && !s.Held && !done.Existed {
		signal(e.waker.due)
	}
	return done, err
}

// SubmitTx is Submit in the caller's transaction. The task exists when that commits, and
// the workers are woken then. A transaction that wakes workers cannot be prepared (PREPARE
// TRANSACTION), and PostgreSQL lets one of them commit at a time; NoWake avoids both.
func (e *Engine) SubmitTx(ctx context.Context, tx pgx.Tx, s Submission) (Submitted, error) {
	if err := e.askHandlers(ctx, &s); err != nil {
		return Submitted{}, err
	}
	return e.submitTx(ctx, tx, s)
}

// askHandlers has the context checked by those who know the task handler. It is to be done
// before a transaction begins: they may wait for a thread.
func (e *Engine) askHandlers(ctx context.Context, s *Submission) error {
	if s.Template == nil || s.Template.TaskHandlerClass == "" {
		return nil
	}
	checker, ok := e.cfg.Handlers.(ContextChecker)
	if !ok {
		return nil
	}
	checked := *s
	if err := checked.check(e.cfg.MaxDocumentBytes); err != nil {
		return err
	}
	return checker.CheckContext(ctx, s.Template, checked.Context)
}

func (e *Engine) submitTx(ctx context.Context, tx pgx.Tx, s Submission) (Submitted, error) {
	if err := s.check(e.cfg.MaxDocumentBytes); err != nil {
		return Submitted{}, err
	}
	digest := s.Template.Digest()
	replaced, err := e.storeTemplate(ctx, tx, s.Template, digest, s.ReplaceTemplate)
	if err != nil {
		return Submitted{}, err
	}
	done, err := e.insertTask(ctx, tx, s, digest)
	done.Replaced = replaced
	if err == nil && s.Held {
		return done, e.hold(ctx, tx, done.TaskID)
	}
	if err == nil && !s.NoWake && !done.Existed {
		_, err = tx.Exec(ctx, notifyWakeSQL)
	}
	return done, err
}

// errTaskRemoved says that the index found a duplicate, and its row was then gone.
var errTaskRemoved = errors.WithHint(errors.New("the task of that identity was being removed"), "Submit it again.")

// maxIdentityKey is a length that PostgreSQL's index always accepts.
const maxIdentityKey = 2000

// check fills in defaults, and refuses values that cannot be stored. limit is of the
// context, in bytes.
func (s *Submission) check(limit int) error {
	if s.Template == nil {
		return errors.New("orchestration: Submission.Template is missing")
	}
	if s.Held && !s.RunAt.IsZero() {
		return errors.WithHint(errors.New("orchestration: Submission has both Held and RunAt"), "A task for later is for workers: leave Held out.")
	}
	for _, text := range append([]string{s.IdentityKey, s.Initiator, s.SourceSystem, s.Reason}, s.Tags...) {
		if storableText(text) != text {
			return errors.WithHint(errors.Newf("orchestration: %q cannot be stored", text),
				"Identity, initiator, source system, reason and tags are UTF-8 without NUL characters.")
		}
	}
	if n := len(s.IdentityKey); n > maxIdentityKey {
		return errors.WithHintf(errors.Newf("orchestration: IdentityKey has %d bytes; at most %d are allowed", n, maxIdentityKey), "Use a hash of it as the key.")
	}
	if err := checkSize(s.Context, limit); err != nil {
		return err
	}
	if len(s.Context) == 0 {
		s.Context = json.RawMessage("{}")
	}
	filled, err := s.Template.ValidateContext(s.Context)
	if err != nil {
		return err
	}
	if err := checkSize(filled, limit); err != nil { // defaults were added
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

// ErrContextTooLarge says that a submission's context is larger than
// Config.MaxDocumentBytes.
var ErrContextTooLarge = errors.New("the context is too large")

func checkSize(context json.RawMessage, limit int) error {
	if len(context) <= limit {
		return nil
	}
	return errors.WithHint(errorOf(ErrContextTooLarge, "the context has %d bytes of JSON; at most %d are allowed", len(context), limit),
		"Store what is large elsewhere, such as in a table or a file, and give its key in the context.")
}

// contentKey is the same for two submissions of the same task. The order of the
// context's keys does not matter. The notation of a number does.
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

// stepColumns are the steps of a template.
var stepColumns = columns[*templates.Step]{
	newColumn("name", "text", func(s *templates.Step) string { return s.Name }),
	newColumn("retry_limit", "int", func(s *templates.Step) int32 { return int32(s.RetryLimit) }),
	newColumn("retryable", "bool", func(s *templates.Step) bool { return s.Retryable }),
}

// steps are the steps to write.
func (s *Submission) steps() []*templates.Step {
	if !s.SingleAttempt {
		return s.Template.Steps
	}
	once := make([]*templates.Step, len(s.Template.Steps))
	for i, step := range s.Template.Steps {
		copied := *step
		copied.RetryLimit = 1
		once[i] = &copied
	}
	return once
}

// insertTaskSQL writes a task, its steps and its place in the queue. It returns nothing if the identity exists.
//
// $1 to $13 are the columns of i. stepColumns follow.
var insertTaskSQL = `
	with i as (
		select $1::text as digest, $2::text as namespace, $3::text as name, $4::text as version,
			$5::json as context, $6::text as identity_key, $7::text as initiator, $8::text as source_system, $9::text as reason,
			$10::text[] as tags, $11::smallint as priority, $12::timestamptz as run_at, $13::timestamptz as now),
	k as (
		insert into tasker.tasks (digest, namespace, name, version, context, identity,
			initiator, source_system, reason, tags, priority, run_at, created_at)
		select digest, namespace, name, version, context, nullif(identity_key, ''),
			nullif(initiator, ''), nullif(source_system, ''), nullif(reason, ''), tags, priority, run_at, now
		from i where ` + notPrunedSQL("i.identity_key") + `
		on conflict (identity) where identity is not null do nothing
		returning task_id, digest, priority, run_at, created_at),
	s as (
		insert into tasker.steps (task_id, name, position, retry_limit, retryable)
		select k.task_id, u.name, u.position - 1, u.retry_limit, u.retryable
		from k, ` + stepColumns.unnestInOrder("u", 14, "position") + `
		returning step_id),
	q as (
		insert into tasker.queue (task_id, template, priority, due_at, ready)
		select k.task_id, t.number, k.priority, k.run_at, k.run_at <= k.created_at
		from k join tasker.templates t using (digest))
	select task_id from k`

func (e *Engine) insertTask(ctx context.Context, tx pgx.Tx, s Submission, digest string) (Submitted, error) {
	t := s.Template
	now := e.now()
	runAt := s.RunAt
	if runAt.IsZero() {
		runAt = now
	}
	args := []any{
		digest, t.Namespace, t.Name, t.Version,
		string(s.Context), s.IdentityKey, s.Initiator, s.SourceSystem, s.Reason,
		nonNil(s.Tags), s.Priority, runAt, now,
	}
	args = stepColumns.args(s.steps(), args...)
	if s.IdentityKey != "" {
		return insertOnce(ctx, tx, s.IdentityKey, args)
	}
	var id int64
	err := tx.QueryRow(ctx, insertTaskSQL, args...).Scan(&id)
	return Submitted{TaskID: id}, errors.Wrap(err, "submitting the task")
}
