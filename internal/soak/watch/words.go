package watch

import (
	"fmt"
	"strings"
)

// Waits says why there is no verdict yet, or nothing if there is one.
func (r Report) Waits() string {
	if r.Samples >= r.Needed {
		return ""
	}
	text := fmt.Sprintf("not enough samples yet: %d of %d", r.Samples, r.Needed)
	switch {
	case r.Steps == 0:
		return text + "; no step has ended so far"
	case r.ReadyIn > 0:
		return text + ", in about " + about(r.ReadyIn) + " at the present rate"
	}
	return text + ", in " + about(float64(r.Needed-r.Samples)*r.Window) + " or more"
}

// Words is the growth in words. rate is how many steps end in a second, 0 if nobody knows.
func (g Growth) Words(rate float64) string {
	switch {
	case g.Now == Unknown:
		return "cannot be read"
	case g.Growth == "":
		return "not enough samples yet"
	case g.More > 0 && rate > 0:
		return g.Text + ", in about " + about(float64(g.More)/rate)
	}
	return g.Text
}

// String is the class with its growth.
func (c Class) String() string {
	return fmt.Sprintf("%s: %v bytes a call of %s (%v to %v)", strings.Join(c.Names, " and "), c.Bytes, c.Of, c.Low, c.High)
}

// about is a time in one unit.
func about(seconds float64) string {
	for _, unit := range []struct {
		name    string
		seconds float64
	}{{"days", 86400}, {"hours", 3600}, {"minutes", 60}} {
		if seconds >= 2*unit.seconds {
			return fmt.Sprintf("%.0f %s", seconds/unit.seconds, unit.name)
		}
	}
	return fmt.Sprintf("%.0f seconds", seconds)
}
