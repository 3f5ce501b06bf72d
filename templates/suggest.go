package templates

import "github.com/tasker-rb/tasker-rb/internal/nearest"

// suggestion returns a hint that names similar known names. Without one it
// returns the fallback.
func (c *collector) suggestion(name string, known []string, fallback string) string {
	if c.suggestions == 0 {
		return fallback
	}
	c.suggestions--
	if hint := nearest.Hint(name, known); hint != "" {
		return hint
	}
	return fallback
}
