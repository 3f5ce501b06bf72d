package soak

import (
	"encoding/json"
	"strconv"
)

// Spec says what a runner runs. It is the first message that the runner reads.
type Spec struct {
	Templates   []string // files
	Environment string   // of the templates, or ""
	Contexts    Contexts

	Handlers   []string // folders, absolute
	Requires   []string
	LoadPath   []string
	Gemfile    string
	Threads    int
	YJIT       bool
	YJITMemory int

	// Database is the address of a database of the runner's own; "" runs the steps through
	// the bridge alone.
	Database string
	// Trace notes where each Ruby object is allocated. It makes everything several times
	// slower, and larger.
	Trace bool
	// CancelEvery cancels each n-th task while it runs. 0 cancels none.
	CancelEvery int64
	// AllowFailed says that tasks may fail.
	AllowFailed bool
}

// Contexts say what the tasks are given. One of the fields is set.
type Contexts struct {
	Same  json.RawMessage   // each task has this one
	Lines []json.RawMessage // they come in turns
	File  string            // of Ruby code, whose value is a block that makes a context of a number
}

// Words describe the contexts for a report.
func (c Contexts) Words() string {
	switch {
	case c.File != "":
		return "made by " + c.File
	case len(c.Lines) > 1:
		return strconv.Itoa(len(c.Lines)) + " contexts in turns"
	}
	return "the same for each task"
}

// Orders of a runner.
const (
	OpBatch    = "batch"    // run tasks, and then take a sample
	OpMark     = "mark"     // only with Spec.Trace
	OpSuspects = "suspects" // only with Spec.Trace
	OpStores   = "stores"   // only with Spec.Trace

	OpExtensions = "extensions" // name the C extensions that do not come with Ruby
)

// Order is what a runner is told to do.
type Order struct {
	Op       string
	Portions []Portion // of OpBatch
	Tasks    int64     // of OpSuspects: how many tasks ran between two marks
	Limit    int       // of OpSuspects
	NoSample bool      // of OpBatch
}

// Portion is a number of tasks of one template.
type Portion struct {
	Template int // its index in Plan.Templates
	Steps    int // only the first so many; 0 means all
	Tasks    int64
}

// Answer is what a runner says. While a batch runs, it says how far it is (Done); the last
// answer to an order has Over.
type Answer struct {
	Over     bool
	Done     int64           // tasks of the batch that have ended
	Sample   *Sample         `json:",omitempty"` // to OpBatch
	Plan     *Plan           `json:",omitempty"` // to the Spec
	Suspects []Suspect       `json:",omitempty"`
	Stores   map[string]Line `json:",omitempty"` // by the index of the suspect

	Extensions []string `json:",omitempty"`
	Failure    *Failure `json:",omitempty"`
}

// Plan is what a runner has loaded.
type Plan struct {
	Templates   []PlannedTemplate
	Environment Environment
}

// PlannedTemplate is a template as a runner has loaded it.
type PlannedTemplate struct {
	ID      string
	Classes []string // of the steps, in their order
}

// Failure is why a runner cannot go on: an error that the user can do something about.
type Failure struct {
	Message string
	Hint    string
	Detail  []string // lines below the message
}

func (f *Failure) Error() string { return f.Message }
