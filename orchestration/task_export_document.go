package orchestration

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/cockroachdb/errors"

	"github.com/tasker-rb/tasker-rb/templates"
)

// exportFormat is the format of the documents that this program writes and reads.
const (
	exportFormat     = "tasker-rb-task/1"
	exportFormatKind = "tasker-rb-task/"
)

// indented is the size up to which a document is indented. Larger ones are for programs.
const indented = 1 << 20

// exportDocument is the document of an [Export]. docs/debugging.md describes it.
type exportDocument struct {
	Format       string          `json:"format"`
	TaskID       int64           `json:"task_id"`
	Status       TaskState       `json:"status"`
	Redacted     []string        `json:"redacted,omitempty"`
	IdentityKey  string          `json:"identity_key,omitempty"`
	Initiator    string          `json:"initiator,omitempty"`
	SourceSystem string          `json:"source_system,omitempty"`
	Reason       string          `json:"reason,omitempty"`
	Tags         []string        `json:"tags,omitempty"`
	Priority     int16           `json:"priority"`
	RunAt        *time.Time      `json:"run_at,omitempty"`
	CreatedAt    *time.Time      `json:"created_at,omitempty"`
	EndedAt      *time.Time      `json:"ended_at,omitempty"`
	Environment  string          `json:"environment,omitempty"`
	Template     json.RawMessage `json:"template"`
	Context      json.RawMessage `json:"context"`
	Steps        exportedSteps   `json:"steps"`

	Annotations []exportedAnnotation `json:"annotations,omitempty"`
}

type exportedAnnotation struct {
	Type  string          `json:"type"`
	Value json.RawMessage `json:"annotation"`
	At    *time.Time      `json:"created_at,omitempty"`
}

type exportedStep struct {
	name       string
	StepID     int64             `json:"step_id"`
	Status     StepState         `json:"status"`
	Counted    int               `json:"attempts_counted"` // since an operator's last retry
	RetryLimit int               `json:"retry_limit"`
	Retryable  bool              `json:"retryable"`
	Attempts   []exportedAttempt `json:"attempts"`
	Results    json.RawMessage   `json:"results,omitempty"` // once the step is done
}

type exportedAttempt struct {
	Number    int             `json:"number"`
	Outcome   string          `json:"outcome"`
	StartedAt *time.Time      `json:"started_at,omitempty"`
	EndedAt   *time.Time      `json:"ended_at,omitempty"`
	Error     json.RawMessage `json:"error,omitempty"`
}

// exportedSteps is an object of steps by name, in the template's order.
type exportedSteps []exportedStep

func (s exportedSteps) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i := range s {
		if i > 0 {
			b.WriteByte(',')
		}
		step, err := marshalExact(&s[i])
		if err != nil {
			return nil, err
		}
		b.Write(mustMarshal(s[i].name))
		b.WriteByte(':')
		b.Write(step)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func (s *exportedSteps) UnmarshalJSON(data []byte) error {
	var byName map[string]exportedStep
	if err := json.Unmarshal(data, &byName); err != nil {
		return err
	}
	*s = (*s)[:0]
	for name, step := range byName {
		step.name = name
		*s = append(*s, step)
	}
	return nil
}

// marshalExact keeps the text of the documents in v.
func marshalExact(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// Encode returns the document. Numbers and texts of the context and the results are as
// they are stored, with every digit. A document of up to 1 MiB is indented.
func (x *Export) Encode() ([]byte, error) {
	t := x.Task
	d := exportDocument{
		Format: exportFormat, TaskID: t.TaskID, Status: t.State, Redacted: x.Redacted, IdentityKey: x.IdentityKey,
		Initiator: t.Initiator, SourceSystem: t.SourceSystem, Reason: t.Reason, Tags: t.Tags, Priority: t.Priority,
		RunAt: orNull(t.RunAt), CreatedAt: orNull(t.CreatedAt), EndedAt: orNull(t.EndedAt),
		Environment: x.Environment, Template: x.template, Context: t.Context,
	}
	for i := range t.Steps {
		s := &t.Steps[i]
		step := exportedStep{
			name: s.Name, StepID: s.StepID, Status: s.State, Counted: s.Attempts, RetryLimit: s.RetryLimit, Retryable: s.Retryable,
			Attempts: make([]exportedAttempt, len(s.History)), Results: s.Results(),
		}
		for i, a := range s.History {
			step.Attempts[i] = exportedAttempt{Number: a.Number, Outcome: a.Outcome, StartedAt: orNull(a.StartedAt), EndedAt: orNull(a.EndedAt)}
			if a.Err != nil {
				step.Attempts[i].Error = json.RawMessage(errorJSON(a.Err))
			}
		}
		d.Steps = append(d.Steps, step)
	}
	for _, a := range t.Annotations {
		d.Annotations = append(d.Annotations, exportedAnnotation{a.Type, a.Value, orNull(a.At)})
	}
	b, err := marshalExact(d)
	if err != nil {
		return nil, errors.Wrapf(err, "writing the export of task %d", t.TaskID)
	}
	if len(b) > indented {
		return append(b, '\n'), nil
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, b, "", "  "); err != nil {
		return nil, errors.Wrapf(err, "writing the export of task %d", t.TaskID)
	}
	return append(pretty.Bytes(), '\n'), nil
}

func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// ErrNoExport says that a document is no export, or one that this program cannot read.
var ErrNoExport = errors.New("this is no export of a task that this program can read")

// DecodeExport reads a document that [Export.Encode] wrote. The error is [ErrNoExport] if
// it is another document.
func DecodeExport(document []byte) (*Export, error) {
	const origin = "`tasker-rb tasks export TASK` writes one."
	var head struct{ Format string }
	if err := json.Unmarshal(document, &head); err != nil {
		return nil, errors.WithHint(errorOf(ErrNoExport, "it is no export of a task: %v", err), origin)
	}
	if head.Format != exportFormat {
		if len(head.Format) > len(exportFormatKind) && head.Format[:len(exportFormatKind)] == exportFormatKind {
			return nil, errors.WithHint(errorOf(ErrNoExport, "its format is %s, and this program reads %s", head.Format, exportFormat),
				"Use the version of tasker-rb that wrote it.")
		}
		return nil, errors.WithHint(errorOf(ErrNoExport, "it is no export of a task: it does not have the format %s", exportFormat), origin)
	}
	var d exportDocument
	if err := json.Unmarshal(document, &d); err != nil {
		return nil, errors.WithHint(errorOf(ErrNoExport, "the export is damaged: %v", err), "Export the task again.")
	}
	x, err := d.export()
	return x, errors.WithHint(err, "Export the task again, or undo what was changed in the export.")
}

func (d *exportDocument) export() (*Export, error) {
	t, err := templates.Decode(d.Template)
	if err != nil {
		return nil, errorOf(ErrNoExport, "the template in the export cannot be read: %v", err)
	}
	if trimmed := bytes.TrimSpace(d.Context); len(trimmed) == 0 || trimmed[0] != '{' {
		return nil, errorOf(ErrNoExport, "the context in the export is no object")
	}
	t.Environment = d.Environment
	x := &Export{
		IdentityKey: d.IdentityKey, Environment: d.Environment, Redacted: d.Redacted, template: d.Template,
		Task: &TaskDetail{
			TaskID: d.TaskID, Namespace: t.Namespace, Name: t.Name, Version: t.Version, State: d.Status, Context: d.Context,
			Initiator: d.Initiator, SourceSystem: d.SourceSystem, Reason: d.Reason, Tags: d.Tags, Priority: d.Priority,
			RunAt: orZero(d.RunAt), CreatedAt: orZero(d.CreatedAt), EndedAt: orZero(d.EndedAt), Template: t,
		},
	}
	for _, a := range d.Annotations {
		x.Task.Annotations = append(x.Task.Annotations, Annotation{a.Type, a.Value, orZero(a.At)})
	}
	recorded := map[string]*exportedStep{}
	for i := range d.Steps {
		recorded[d.Steps[i].name] = &d.Steps[i]
	}
	for _, step := range t.Steps {
		if recorded[step.Name] == nil {
			return nil, errorOf(ErrNoExport, "the export does not have the step %q of its template", step.Name)
		}
		s, err := recorded[step.Name].detail(step)
		if err != nil {
			return nil, err
		}
		x.Task.Steps = append(x.Task.Steps, s)
	}
	return x, nil
}

// detail is the step as [Engine.Task] returns it. The results are those of the last
// attempt.
func (s *exportedStep) detail(step *templates.Step) (StepDetail, error) {
	d := StepDetail{
		StepID: s.StepID, Name: s.name, State: s.Status, Attempts: s.Counted, RetryLimit: s.RetryLimit, Retryable: s.Retryable,
		Parents: step.Parents,
	}
	for _, a := range s.Attempts {
		failure, err := decodeStepError(string(a.Error))
		if err != nil {
			return d, errorOf(ErrNoExport, "attempt %d of the step %q in the export: %v", a.Number, s.name, err)
		}
		d.History = append(d.History, Attempt{
			Number: a.Number, Outcome: a.Outcome, Err: failure, StartedAt: orZero(a.StartedAt), EndedAt: orZero(a.EndedAt),
		})
	}
	if last := d.Last(); last != nil && s.Status.Done() {
		last.Results = s.Results
	}
	return d, nil
}
