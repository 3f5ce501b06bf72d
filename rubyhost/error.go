package rubyhost

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Error is a Ruby exception with everything that Ruby knows about it.
type Error struct {
	Class     string   // "Payments::Declined"
	Ancestors []string // the names of its superclasses, nearest first
	Message   string
	Backtrace []string // innermost first, in Ruby's wording
	Cause     *Error   // Exception#cause

	// Tasker's own errors add these.
	RetryAfter *time.Duration  // RetryableError: wait this long before the retry
	ErrorCode  string          // PermanentError
	Context    json.RawMessage // a JSON object, or nil
	Permanent  bool            // retrying cannot help
}

func (e *Error) Error() string {
	if e.Message == "" {
		return e.Class
	}
	return e.Class + ": " + e.Message
}

// Unwrap returns the Ruby cause.
func (e *Error) Unwrap() error {
	if e.Cause == nil {
		return nil
	}
	return e.Cause
}

// IsA reports whether the exception is of the named class or a subclass.
func (e *Error) IsA(class string) bool {
	if e.Class == class {
		return true
	}
	for _, a := range e.Ancestors {
		if a == class {
			return true
		}
	}
	return false
}

// Format prints the backtrace and the causes with %+v.
func (e *Error) Format(s fmt.State, verb rune) {
	if verb != 'v' || !s.Flag('+') {
		_, _ = fmt.Fprint(s, e.Error())
		return
	}
	var b strings.Builder
	for at := e; at != nil; at = at.Cause {
		if at != e {
			b.WriteString("caused by ")
		}
		b.WriteString(at.Error())
		for _, line := range at.Backtrace {
			b.WriteString("\n    from ")
			b.WriteString(line)
		}
		b.WriteByte('\n')
	}
	_, _ = fmt.Fprint(s, strings.TrimSuffix(b.String(), "\n"))
}

// wireError is the JSON form that Tasker::Execution.describe makes.
type wireError struct {
	Class      string          `json:"class"`
	Ancestors  []string        `json:"ancestors"`
	Message    string          `json:"message"`
	Backtrace  []string        `json:"backtrace"`
	Cause      *wireError      `json:"cause"`
	RetryAfter *float64        `json:"retry_after"`
	ErrorCode  *string         `json:"error_code"`
	Context    json.RawMessage `json:"context"`
	Permanent  bool            `json:"permanent"`
}

func (w *wireError) error() *Error {
	if w == nil {
		return nil
	}
	e := &Error{
		Class: w.Class, Ancestors: w.Ancestors, Message: w.Message, Backtrace: w.Backtrace,
		Cause: w.Cause.error(), Permanent: w.Permanent,
	}
	if w.RetryAfter != nil {
		d := time.Duration(*w.RetryAfter * float64(time.Second))
		e.RetryAfter = &d
	}
	if w.ErrorCode != nil {
		e.ErrorCode = *w.ErrorCode
	}
	if len(w.Context) > 0 && string(w.Context) != "null" {
		e.Context = w.Context
	}
	return e
}

func decodeError(report []byte) error {
	var w wireError
	if err := json.Unmarshal(report, &w); err != nil {
		return &Error{Class: "Exception", Message: fmt.Sprintf("(its report could not be read: %v) %s", err, report)}
	}
	return w.error()
}
