package orchestration

import (
	"fmt"

	"github.com/cockroachdb/errors"
)

// kindOf makes an error that errors.Is knows as kind, and whose message is its
// own.
func kindOf(kind error, format string, args ...any) error {
	return errors.WithStackDepth(&saying{kind: kind, text: fmt.Sprintf(format, args...)}, 1)
}

type saying struct {
	kind error
	text string
}

func (s *saying) Error() string        { return s.text }
func (s *saying) Is(target error) bool { return target == s.kind }
