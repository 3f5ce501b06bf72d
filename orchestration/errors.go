package orchestration

import (
	"fmt"

	"github.com/cockroachdb/errors"
)

// errorOf makes an error that errors.Is matches with kind, but with a message of its
// own.
func errorOf(kind error, format string, args ...any) error {
	return errors.WithStackDepth(&kindError{kind: kind, text: fmt.Sprintf(format, args...)}, 1)
}

type kindError struct {
	kind error
	text string
}

func (e *kindError) Error() string        { return e.text }
func (e *kindError) Is(target error) bool { return target == e.kind }

// Hint returns what to do about an error, or "" if it does not say. Many errors of this
// module carry a hint beside their text.
func Hint(err error) string { return errors.FlattenHints(err) }
