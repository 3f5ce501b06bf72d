package templates

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/tasker-rb/tasker-rb/internal/nearest"
	"github.com/tasker-rb/tasker-rb/templates/internal/tree"
)

// The methods of builder in this file read one value each. When the value is
// wrong, they report the problem and return false or the zero value.

// maxNameRunes is the longest name. Names are columns of a database index,
// which limits their size.
const maxNameRunes = 255

// The longest times that a template may set: of an attempt, and of a wait.
const (
	day        = 24 * time.Hour
	maxTimeout = 7 * day
	maxWait    = 366 * day
)

// wrongType reports that a value has the wrong type for its key.
func (b *builder) wrongType(m tree.Member, want string) {
	hint := ""
	switch v := m.Value; {
	case v.Kind == tree.Null:
		hint = emptyHint(m.Key)
	case want == "text" && isBare(v):
		hint = "Put it in quotes: " + strconv.Quote(tree.Shorten(v.Source))
	case want == "a list" && v.Kind == tree.String && slices.Contains(listsOfMappings, m.Key):
		hint = "Write a list of mappings, each with a name."
	case want == "a list" && v.Kind == tree.String && !strings.Contains(v.Text, "\n"):
		hint = "Write a list: [" + tree.Shorten(v.Text) + "]"
	case v.Kind == tree.String && tree.LooksLike(v.Text, want):
		hint = "Write it without quotes."
	}
	b.problems.at(m.Value, hint, "%s must be %s, found %s", m.Key, want, m.Value.Describe())
}

// listsOfMappings are the keys of lists whose items cannot be text.
var listsOfMappings = []string{"step_templates", "steps", "custom_events"}

// emptyHint says what to do about a key without a value. To remove a key that is required
// would be the next fault.
func emptyHint(key string) string {
	switch {
	case slices.Contains(requiredKeys, key):
		return "Give it a value."
	case strings.HasSuffix(key, "]"):
		return "Give it a value, or remove it."
	}
	return "Give it a value, or remove the key."
}

// isBare reports whether a value would be text with quotes around it.
func isBare(n *tree.Node) bool {
	return n.Kind == tree.Integer || n.Kind == tree.Float || n.Kind == tree.Bool
}

func (b *builder) object(m tree.Member) bool {
	if m.Value.Kind != tree.Object {
		b.wrongType(m, "a mapping")
		return false
	}
	return true
}

func (b *builder) list(m tree.Member) []*tree.Node {
	if m.Value.Kind != tree.Array {
		b.wrongType(m, "a list")
		return nil
	}
	return m.Value.Items
}

// text reads a text. It may be long, and it may be empty.
func (b *builder) text(m tree.Member) (string, bool) {
	if m.Value.Kind != tree.String {
		b.wrongType(m, "text")
		return "", false
	}
	return m.Value.Text, true
}

// textThat reads a text that must be of some kind, which fits tells. A value that quotes
// would not make fit gets the hint.
func (b *builder) textThat(m tree.Member, fits func(string) bool, hint string) (string, bool) {
	if isBare(m.Value) && !fits(m.Value.Source) {
		b.problems.at(m.Value, hint, "%s must be text, found %s", m.Key, m.Value.Describe())
		return "", false
	}
	return b.text(m)
}

// label reads a name: one line of printable text that is not empty.
func (b *builder) label(m tree.Member) (string, bool) {
	text, ok := b.text(m)
	if !ok {
		return "", false
	}
	return text, b.checkLabel(m.Value, m.Key)
}

func (b *builder) checkLabel(n *tree.Node, what string) bool {
	text := n.Text
	inner := strings.TrimSpace(text)
	switch {
	case text == "":
		b.problems.at(n, emptyHint(what), "%s is empty", what)
	case inner == "":
		b.problems.at(n, emptyHint(what), "%s %q is only space", what, tree.Shorten(text))
	case text != inner && !strings.ContainsFunc(inner, isUnprintable):
		b.problems.at(n, "Write "+strconv.Quote(tree.Shorten(inner))+".", "%s %q has space around it", what, tree.Shorten(text))
	case strings.ContainsFunc(text, isUnprintable):
		b.problems.at(n, "Use printable characters on one line.", "%s %q holds a character that cannot be printed", what, tree.Shorten(text))
	case len([]rune(text)) > maxNameRunes:
		b.problems.at(n, "", "%s has %d characters, the limit is %d", what, len([]rune(text)), maxNameRunes)
	default:
		return true
	}
	return false
}

func isUnprintable(r rune) bool { return !unicode.IsPrint(r) }

// labels reads a list of names. It returns the nodes that hold them.
func (b *builder) labels(m tree.Member) []*tree.Node {
	var good []*tree.Node
	for i, item := range b.list(m) {
		element := tree.Member{Key: m.Key + "[" + strconv.Itoa(i) + "]", Value: item}
		if _, ok := b.label(element); ok {
			good = append(good, item)
		}
	}
	return good
}

func (b *builder) boolean(m *tree.Member, fallback bool) bool {
	if m == nil {
		return fallback
	}
	if m.Value.Kind != tree.Bool {
		b.wrongType(*m, "true or false")
		return fallback
	}
	return m.Value.Text == "true"
}

// integer reads an integer from low to high.
func (b *builder) integer(m *tree.Member, fallback, low, high int) int {
	if m == nil {
		return fallback
	}
	if m.Value.Kind != tree.Integer {
		b.wrongType(*m, "an integer")
		return fallback
	}
	n, err := strconv.Atoi(m.Value.Text)
	if err != nil || n < low || n > high {
		b.problems.at(m.Value, "", "%s is %s; it must be from %d to %d", m.Key, tree.Shorten(m.Value.Source), low, high)
		return fallback
	}
	return n
}

func (b *builder) number(m tree.Member) (float64, bool) {
	if m.Value.Kind != tree.Integer && m.Value.Kind != tree.Float {
		b.wrongType(m, "a number")
		return 0, false
	}
	f, _ := strconv.ParseFloat(m.Value.Text, 64)
	return f, true
}

// seconds reads a number of seconds, from low to high. Fractions are allowed.
func (b *builder) seconds(m tree.Member, low, high time.Duration) time.Duration {
	if _, ok := b.number(m); !ok {
		return low
	}
	d, ok := parseSeconds(m.Value.Text)
	if !ok || d < low || d > high {
		least := "at least 0"
		if low > 0 {
			least = "more than 0"
		}
		b.problems.at(m.Value, "", "%s is %s; it must be %s and at most %d (%d days)",
			m.Key, tree.Shorten(m.Value.Source), least, int(high.Seconds()), high/day)
		return low
	}
	return d
}

// parseSeconds converts a number of seconds. It is exact to the nanosecond.
func parseSeconds(text string) (time.Duration, bool) {
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		return 0, false
	}
	r.Mul(r, big.NewRat(int64(time.Second), 1))
	ns := new(big.Int).Quo(r.Num(), r.Denom())
	if !ns.IsInt64() {
		return 0, false
	}
	return time.Duration(ns.Int64()), true
}

// formatSeconds is the inverse of parseSeconds.
func formatSeconds(d time.Duration) string {
	text := big.NewRat(int64(d), int64(time.Second)).FloatString(9)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// oneOf reads a text that must be one of the allowed words.
func oneOf[T ~string](b *builder, m tree.Member, fallback T, allowed ...T) T {
	names := make([]string, len(allowed))
	for i, a := range allowed {
		names[i] = string(a)
	}
	fits := func(text string) bool { return slices.Contains(names, text) }
	text, ok := b.textThat(m, fits, "Write "+nearest.Or(names)+".")
	switch {
	case !ok:
		return fallback
	case fits(text):
		return T(text)
	}
	b.problems.at(m.Value, b.problems.suggestion(text, names, ""), "%s is %q; it must be %s", m.Key, tree.Shorten(text), nearest.Or(names))
	return fallback
}

// checkKeys reports the keys of a mapping that are not known. In an environment
// that is not in use they are warnings.
func (b *builder) checkKeys(n *tree.Node, known []key, what string) {
	names := keyNames(known)
	for _, m := range n.Members {
		if slices.Contains(names, m.Key) {
			continue
		}
		hint, foreign := b.format.foreign[m.Key]
		if !foreign {
			hint = b.format.elsewhere(m.Key, what)
		}
		if hint == "" {
			hint = b.problems.suggestion(m.Key, names, "")
		}
		if hint == "" {
			hint = b.nearElsewhere(m.Key, what)
		}
		if hint == "" {
			hint = "Known keys: " + strings.Join(names, ", ") + "."
		}
		b.problems.add(Problem{
			File: b.problems.file, Warning: b.problems.unused, Line: m.Line, Column: m.Column,
			Message: fmt.Sprintf("%s has no key %q", what, tree.Shorten(m.Key)), Hint: hint,
		})
	}
}
