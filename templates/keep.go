package templates

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/errors"

	"github.com/tasker-rb/tasker-rb/templates/internal/tree"
)

// Keep says how long an ended task of a template is kept. The zero value says
// nothing: then the worker decides.
type Keep struct {
	// For is the time from the end of the task. It is 0 with Forever.
	For     time.Duration
	Forever bool
}

// forever is the word of a Keep without an end.
const forever = "forever"

// maxKeep is a hundred years. It catches a value in the wrong unit.
const maxKeep = 36500 * 24 * time.Hour

// String returns the text as a template has it, such as 30d, 12h or forever.
// It is "" for the zero value.
func (k Keep) String() string {
	const day = 24 * time.Hour
	switch {
	case k == Keep{}:
		return ""
	case k.Forever:
		return forever
	case k.For%day == 0:
		return strconv.Itoa(int(k.For/day)) + "d"
	}
	text := k.For.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

var wholeDays = regexp.MustCompile(`^[0-9]{1,9}d$`)

// ParseKeep reads a number of days such as 30d, a time such as 12h or 1h30m, or
// forever.
func ParseKeep(text string) (Keep, error) {
	if text == forever {
		return Keep{Forever: true}, nil
	}
	var d time.Duration
	var err error
	if wholeDays.MatchString(text) {
		days, _ := strconv.Atoi(strings.TrimSuffix(text, "d"))
		d = time.Duration(min(days, 2*int(maxKeep.Hours())/24)) * 24 * time.Hour
	} else {
		d, err = time.ParseDuration(text)
	}
	switch {
	case err != nil:
		return Keep{}, errors.New("is not a time")
	case d <= 0:
		return Keep{}, errors.New("is not more than 0")
	case d > maxKeep:
		return Keep{}, errors.New("is more than 36500 days")
	}
	return Keep{For: d}, nil
}

func (b *builder) keep(m tree.Member) Keep {
	const hint = "Write days, hours or minutes, such as 30d or 12h, or forever."
	if m.Value.Kind == tree.Integer {
		b.problems.at(m.Value, hint, "%s has no unit: %s", m.Key, tree.Shorten(m.Value.Source))
		return Keep{}
	}
	text, ok := b.textThat(m, func(text string) bool { _, err := ParseKeep(text); return err == nil }, hint)
	if !ok {
		return Keep{}
	}
	k, err := ParseKeep(text)
	if err != nil {
		b.problems.at(m.Value, hint, "%s %v: %q", m.Key, err, tree.Shorten(text))
	}
	return k
}

// maxQueueBytes keeps the name of a queue short. It is part of flags and of lists.
const maxQueueBytes = 63

var queueName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)

// queue reads the name of a queue. It has no comma, because workers name several
// queues in one flag.
func (b *builder) queue(m tree.Member) string {
	name, ok := b.label(m)
	switch {
	case !ok:
		return defaultQueue
	case len(name) > maxQueueBytes:
		b.problems.at(m.Value, "", "%s has %d bytes, the limit is %d", m.Key, len(name), maxQueueBytes)
	case !queueName.MatchString(name):
		b.problems.at(m.Value, "Use letters, digits, '_', '-' and '.', and begin with a letter or a digit.",
			"%s cannot be %q", m.Key, tree.Shorten(name))
	default:
		return name
	}
	return defaultQueue
}
