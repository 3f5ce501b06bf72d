package templates

import "github.com/tasker-rb/tasker-rb/internal/nearest"

// suggestion returns a hint that names similar known names. Without one it
// returns the fallback.
func (c *collector) suggestion(name string, known []string, fallback string) string {
	if names := c.near(name, known); len(names) > 0 {
		return "Did you mean " + nearest.Or(names) + "?"
	}
	return fallback
}

// near returns similar known names, as long as there is time for it.
func (c *collector) near(name string, known []string) []string {
	if c.suggestions == 0 || len(known) == 0 {
		return nil
	}
	c.suggestions--
	return nearest.Names(name, known)
}
