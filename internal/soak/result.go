package soak

import (
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Result is what a run has found. Its JSON is what --output json prints.
type Result struct {
	Verdict     Verdict     `json:"verdict"`
	Where       []Place     `json:"where,omitempty"` // what grows, of the deciding measures
	Classes     []Share     `json:"classes,omitempty"`
	Suspects    []Suspect   `json:"suspects,omitempty"` // Ruby objects, the largest growth first
	Notes       []Note      `json:"notes,omitempty"`
	Measures    []Measure   `json:"measures"`
	Against     *Against    `json:"against,omitempty"`
	Run         Run         `json:"run"`
	Environment Environment `json:"environment"`
}

// Verdict is the answer.
type Verdict struct {
	Growth     string  `json:"growth"`     // flat, leak or undecided
	Text       string  `json:"text"`       // in one sentence
	Budget     float64 `json:"budget"`     // bytes a step
	Confidence float64 `json:"confidence"` // of the intervals of all deciding measures together
	MoreTasks  int64   `json:"more_tasks,omitempty"`
	// Resolvable is the smallest budget that these samples could tell from no growth.
	Resolvable float64 `json:"resolvable"`
}

// Place is one kind of memory that grows, or that may.
type Place struct {
	Kind   string  `json:"kind"`   // ruby_heap, native, go_heap, bridge or fragmentation
	Growth string  `json:"growth"` // leak or undecided; fragmentation is a note and changes no verdict
	Bytes  float64 `json:"bytes"`  // a step
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
	Text   string  `json:"text"`
	Hint   string  `json:"hint,omitempty"`
}

// Share is the growth of one handler class, of one measure.
type Share struct {
	Measure string   `json:"measure"` // the key
	Classes []string `json:"classes"` // several if they cannot be told apart
	Bytes   float64  `json:"bytes"`   // a call
	Low     float64  `json:"low"`
	High    float64  `json:"high"`
	Calls   int64    `json:"calls"`
	Grows   bool     `json:"grows"` // the interval lies above 0
}

// Suspect is a group of Ruby objects that the tasks leave behind, or an object that gets
// ever larger.
type Suspect struct {
	Kind      string  `json:"kind"`                // objects, or container for one that gets larger
	Class     string  `json:"class"`               // of the objects
	Allocated *Line   `json:"allocated,omitempty"` // where
	Stored    *Line   `json:"stored,omitempty"`    // where it was put into what holds it
	Count     int64   `json:"count"`               // objects, or elements, for each thousand tasks
	Bytes     float64 `json:"bytes"`               // a task
	// Path leads from a root to one of the objects.
	Path    []Holder `json:"path,omitempty"`
	Example string   `json:"example,omitempty"` // of an object, shortened
	Own     bool     `json:"own"`               // one of the lines is in a file of the handlers
}

// Line is a place in a Ruby file.
type Line struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Code string `json:"code,omitempty"` // the line itself
}

// shorten makes the path relative if it leads below the working folder.
func (l *Line) shorten() {
	here, err := os.Getwd()
	if l == nil || err != nil {
		return
	}
	if below, ok := strings.CutPrefix(l.File, here+string(filepath.Separator)); ok {
		l.File = below
	}
}

// Holder is one object on the way from a root.
type Holder struct {
	// Kind is constant, class_variable, global, thread_local, fiber_local, instance_variable,
	// closure, element, key, root or reference.
	Kind  string `json:"kind"`
	Name  string `json:"name,omitempty"` // Orders::SEEN, $seen, @cache, [:cache]
	Class string `json:"class,omitempty"`
	At    *Line  `json:"at,omitempty"` // where it is defined or was allocated
}

// Note is something that the reader should know.
type Note struct {
	Text string `json:"text"`
	Hint string `json:"hint,omitempty"`
}

// Measure is one measure over the run.
type Measure struct {
	Key     string  `json:"key"`
	Name    string  `json:"name"`
	Unit    string  `json:"unit"`
	Decides bool    `json:"decides"`
	Steps   []int64 `json:"steps"`
	Values  []int64 `json:"values"`
	Trend   *Trend  `json:"trend,omitempty"` // nil if there are too few samples
	// Difference is how much faster it grows than in the other version, if there is one.
	Difference *Trend `json:"difference,omitempty"`
}

// Trend is the growth of a measure.
type Trend struct {
	Growth     string  `json:"growth"`
	Slope      float64 `json:"slope"` // of its unit, a step
	Low        float64 `json:"low"`
	High       float64 `json:"high"`
	WarmUpEnd  int64   `json:"warm_up_end"` // the first step that counts
	LastStep   int64   `json:"last_step"`
	Resolvable float64 `json:"resolvable"`
	Text       string  `json:"text"`
}

// Against is the other version of the handlers.
type Against struct {
	Name     string    `json:"name"` // a git ref with its commit, or a folder
	Measures []Measure `json:"measures"`
}

// Run is what was run.
type Run struct {
	Command     string        `json:"command"` // repeats it
	Templates   []string      `json:"templates"`
	Contexts    string        `json:"contexts"` // in words
	Tasks       int64         `json:"tasks"`
	Steps       int64         `json:"steps"`
	Threads     int           `json:"threads"`
	NoDatabase  bool          `json:"no_database"`
	Interrupted bool          `json:"interrupted"`
	Began       time.Time     `json:"began"`
	Took        time.Duration `json:"took"`     // in all, in nanoseconds as the others
	Ran         time.Duration `json:"ran"`      // running tasks
	Sampling    time.Duration `json:"sampling"` // taking samples
	Samples     int           `json:"samples"`
}

// Environment is where it was run.
type Environment struct {
	Version   string `json:"version"` // of tasker-rb
	Ruby      string `json:"ruby"`    // RUBY_DESCRIPTION
	Go        string `json:"go"`
	Database  string `json:"database,omitempty"`
	Allocator string `json:"allocator"` // glibc 2.36, jemalloc 5.3
	System    string `json:"system"`
	CPUs      int    `json:"cpus"`
}
