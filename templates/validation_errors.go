package templates

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/tasker-rb/tasker-rb/templates/internal/tree"
)

// locatedViolation is a violation with the tokens of its path.
type locatedViolation struct {
	Violation
	location []string
}

// maxViolations is how many violations are listed. Nobody reads a longer list.
const maxViolations = 100

// listViolations turns the validator's tree of errors into a list in document
// order. The tree is in the random order of Go's maps. root is the validated
// value.
func listViolations(err *jsonschema.ValidationError, root *tree.Node) []locatedViolation {
	var found []locatedViolation
	collectViolations(err, func(location []string, format string, args ...any) {
		v := Violation{Message: fmt.Sprintf(format, args...)}
		found = append(found, locatedViolation{Violation: v, location: slices.Clone(location)})
	})
	compare := func(a, b locatedViolation) int {
		return cmp.Or(slices.Compare(a.location, b.location), cmp.Compare(a.Message, b.Message))
	}
	slices.SortFunc(found, compare)
	found = slices.CompactFunc(found, func(a, b locatedViolation) bool { return compare(a, b) == 0 })
	more := len(found) - maxViolations
	found = found[:min(len(found), maxViolations)]
	places := make(map[string][2]int, len(found))
	for i := range found {
		found[i].Path = pathText(root, found[i].location)
		line, column := root.At(found[i].location)
		places[found[i].Path] = [2]int{line, column}
	}
	slices.SortStableFunc(found, func(a, b locatedViolation) int {
		x, y := places[a.Path], places[b.Path]
		return cmp.Or(cmp.Compare(x[0], y[0]), cmp.Compare(x[1], y[1]))
	})
	if more > 0 {
		found = append(found, locatedViolation{Violation: Violation{rootPath, fmt.Sprintf("has %d more faults, which are not shown", more)}})
	}
	return found
}

type addFunc func(location []string, format string, args ...any)

// collectViolations walks the validator's tree. It adds a violation for each
// error that has a meaning to the user.
func collectViolations(err *jsonschema.ValidationError, add addFunc) {
	at := err.InstanceLocation
	switch k := err.ErrorKind.(type) {
	case *kind.Schema, *kind.Group, *kind.Reference, *kind.AllOf:
		for _, cause := range err.Causes {
			collectViolations(cause, add)
		}
	case *kind.Required:
		for _, name := range k.Missing {
			add(child(at, name), "is required")
		}
	case *kind.Dependency:
		for _, name := range k.Missing {
			add(child(at, name), "is required when %q is given", k.Prop)
		}
	case *kind.DependentRequired:
		for _, name := range k.Missing {
			add(child(at, name), "is required when %q is given", k.Prop)
		}
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			add(child(at, name), "is not allowed: there is no such key")
		}
	case *kind.FalseSchema:
		add(at, "is not allowed")
	case *kind.PropertyNames:
		add(child(at, k.Property), "has a key that is not allowed%s", causesOf(err))
	case *kind.AnyOf:
		add(at, "fits none of the allowed forms%s", causesOf(err))
	case *kind.OneOf:
		if len(k.Subschemas) > 1 {
			add(at, "fits more than one of the allowed forms (numbers %d and %d); it must fit exactly one",
				k.Subschemas[0]+1, k.Subschemas[1]+1)
			return
		}
		add(at, "fits none of the allowed forms%s", causesOf(err))
	default:
		add(at, "%s", keywordText(err.ErrorKind))
	}
}

func child(location []string, name string) []string {
	return append(slices.Clone(location), name)
}

// causesOf returns the causes of an error, in parentheses.
func causesOf(err *jsonschema.ValidationError) string {
	const most = 4
	// A form for another type than the value's explains little. Such forms
	// count only if there are no others.
	forms := slices.DeleteFunc(slices.Clone(err.Causes), func(cause *jsonschema.ValidationError) bool {
		for len(cause.Causes) == 1 {
			cause = cause.Causes[0]
		}
		_, otherType := cause.ErrorKind.(*kind.Type)
		return otherType && len(cause.InstanceLocation) == len(err.InstanceLocation)
	})
	if len(forms) == 0 {
		forms = err.Causes
	}
	var reasons []string
	for _, cause := range forms {
		collectViolations(cause, func(location []string, format string, args ...any) {
			reason := fmt.Sprintf(format, args...)
			if rest := location[min(len(err.InstanceLocation), len(location)):]; len(rest) > 0 {
				reason = strings.Join(rest, ".") + " " + reason
			}
			if !slices.Contains(reasons, reason) {
				reasons = append(reasons, reason)
			}
		})
	}
	if len(reasons) == 0 {
		return ""
	}
	slices.Sort(reasons)
	if len(reasons) > most {
		reasons = append(reasons[:most], "…")
	}
	return " (" + strings.Join(reasons, "; ") + ")"
}

// keywordText says in words what a keyword of the schema requires.
func keywordText(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Type:
		want := make([]string, len(k.Want))
		for i, w := range k.Want {
			want[i] = withArticle(w)
		}
		return "must be " + strings.Join(want, " or ") + ", got " + withArticle(k.Got)
	case *kind.Enum:
		want := make([]string, len(k.Want))
		for i, w := range k.Want {
			want[i] = valueText(w)
		}
		return "must be one of " + strings.Join(want, ", ") + ", got " + valueText(k.Got)
	case *kind.Const:
		return "must be " + valueText(k.Want) + ", got " + valueText(k.Got)
	case *kind.Format:
		return fmt.Sprintf("must be a valid %s, got %s", k.Want, valueText(k.Got))
	case *kind.Pattern:
		return fmt.Sprintf("must match the pattern %s, got %s", tree.Shorten(k.Want), valueText(k.Got))
	case *kind.Minimum:
		return "must be at least " + numberText(k.Want) + ", got " + numberText(k.Got)
	case *kind.Maximum:
		return "must be at most " + numberText(k.Want) + ", got " + numberText(k.Got)
	case *kind.ExclusiveMinimum:
		return "must be more than " + numberText(k.Want) + ", got " + numberText(k.Got)
	case *kind.ExclusiveMaximum:
		return "must be less than " + numberText(k.Want) + ", got " + numberText(k.Got)
	case *kind.MultipleOf:
		return "must be a multiple of " + numberText(k.Want) + ", got " + numberText(k.Got)
	case *kind.MinLength:
		return fmt.Sprintf("must have at least %s, got %d", count(k.Want, "character"), k.Got)
	case *kind.MaxLength:
		return fmt.Sprintf("must have at most %s, got %d", count(k.Want, "character"), k.Got)
	case *kind.MinItems:
		return fmt.Sprintf("must have at least %s, got %d", count(k.Want, "item"), k.Got)
	case *kind.MaxItems:
		return fmt.Sprintf("must have at most %s, got %d", count(k.Want, "item"), k.Got)
	case *kind.AdditionalItems:
		return fmt.Sprintf("has %s too many", count(k.Count, "item"))
	case *kind.MinProperties:
		return fmt.Sprintf("must have at least %s, got %d", count(k.Want, "key"), k.Got)
	case *kind.MaxProperties:
		return fmt.Sprintf("must have at most %s, got %d", count(k.Want, "key"), k.Got)
	case *kind.UniqueItems:
		return fmt.Sprintf("must have no equal items, but items %d and %d are equal", k.Duplicates[0], k.Duplicates[1])
	case *kind.Contains:
		return "has no item of the kind that it must contain"
	case *kind.MinContains:
		return fmt.Sprintf("must contain at least %s of a kind, got %d", count(k.Want, "item"), len(k.Got))
	case *kind.MaxContains:
		return fmt.Sprintf("must contain at most %s of a kind, got %d", count(k.Want, "item"), len(k.Got))
	case *kind.Not:
		return "is of a form that is not allowed"
	case *kind.RefCycle:
		return "cannot be checked: the schema refers to itself without end"
	default:
		return "is not valid: " + k.LocalizedString(message.NewPrinter(language.English))
	}
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

func withArticle(jsonType string) string {
	switch jsonType {
	case "null":
		return jsonType
	case "array", "integer", "object":
		return "an " + jsonType
	default:
		return "a " + jsonType
	}
}

// valueText returns a value for a message, cut to a readable length.
func valueText(value any) string {
	switch value.(type) {
	case nil, bool, json.Number, string, []any, map[string]any:
		return tree.Shorten(string(tree.FromPlain(value).AppendJSON(nil)))
	default:
		return tree.Shorten(fmt.Sprint(value))
	}
}

// numberText writes a number of the validator. It is exact if a decimal number
// can express it.
func numberText(r *big.Rat) string {
	if r == nil {
		return "a number out of range"
	}
	if r.IsInt() {
		return tree.Shorten(r.Num().String())
	}
	if digits, exact := r.FloatPrec(); exact {
		return tree.Shorten(r.FloatString(digits))
	}
	return tree.Shorten(r.RatString())
}

var plainKey = regexp.MustCompile(`^[\p{L}_][\p{L}\p{Nd}_-]*$`)

// pathText writes a path for a person: context.items[3].price. A key that is not
// a word is quoted: context["odd key"].
func pathText(root *tree.Node, location []string) string {
	var out strings.Builder
	out.WriteString(rootPath)
	n := root
	for _, token := range location {
		switch {
		case n != nil && n.Kind == tree.Array:
			out.WriteString("[" + token + "]")
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(n.Items) {
				n = nil
				continue
			}
			n = n.Items[i]
			continue
		case plainKey.MatchString(token):
			out.WriteString("." + token)
		default:
			out.WriteString("[" + strconv.Quote(tree.Shorten(token)) + "]")
		}
		if m := n.Get(token); m != nil {
			n = m.Value
		} else {
			n = nil
		}
	}
	return out.String()
}
