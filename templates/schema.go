package templates

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/tasker-rb/tasker-rb/templates/internal/tree"
)

// contextSchema is the compiled JSON Schema of a template's context.
type contextSchema struct {
	compiled *jsonschema.Schema
}

// schemaURL is the compiler's name of the schema. Nothing is fetched.
const schemaURL = "tasker:///schema"

// schemaFault is one fault of a schema, at a path of keys within it.
type schemaFault struct {
	path          []string
	message, hint string
}

// compile compiles the schema of a document. Environments that share a schema
// share the result.
func (b *builder) compile(m tree.Member) *contextSchema {
	n := m.Value
	if known, ok := b.schemas[n]; ok {
		return known
	}
	schema, faults := compileSchema(n)
	if len(faults) == 0 && !b.stored {
		faults = append(schema.objectless(), schema.faultyDefaults()...)
	}
	if !b.stored {
		b.unknownKeywords(m)
	}
	for _, f := range faults {
		line, column := n.At(f.path)
		where := m.Key
		for _, token := range f.path {
			where += "." + token
		}
		b.problems.place(line, column, f.hint, "%s: %s", where, f.message)
	}
	b.schemas[n] = schema
	return schema
}

// compileSchema compiles a schema. A schema without $schema is read as draft
// 2020-12. If it is not valid in that draft, it is read as draft 4, which the
// templates of tasker-engine use.
func compileSchema(n *tree.Node) (*contextSchema, []schemaFault) {
	compiled, err := compileDraft(n, jsonschema.Draft2020)
	if err != nil && n.Get("$schema") == nil {
		if older, olderErr := compileDraft(n, jsonschema.Draft4); olderErr == nil {
			compiled, err = older, nil
		}
	}
	if err != nil {
		return nil, schemaFaults(n, err)
	}
	schema := &contextSchema{compiled: compiled}
	if err := schema.checkDefaultsEnd(); err != nil {
		return nil, []schemaFault{{message: err.Error(), hint: "Remove the default in the schema that refers to itself."}}
	}
	return schema, nil
}

// errForeign is the reason why a reference to another document fails.
var errForeign = errors.New("it is outside of the template")

type refuseLoader struct{}

func (refuseLoader) Load(string) (any, error) { return nil, errForeign }

func compileDraft(n *tree.Node, draft *jsonschema.Draft) (schema *jsonschema.Schema, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the schema cannot be compiled: %v", p)
		}
	}()
	c := jsonschema.NewCompiler()
	c.DefaultDraft(draft)
	c.AssertFormat()
	c.UseLoader(refuseLoader{})
	if err := c.AddResource(schemaURL, n.Plain()); err != nil {
		return nil, err
	}
	return c.Compile(schemaURL)
}

const (
	patternHint = "Patterns are in RE2 syntax, which has no lookaround and no backreferences."
	// What a schema of schemas says of a type that there is not.
	jsonTypes     = `must be one of "array", "boolean", "integer", "null", "number", "object", "string"`
	typeHint      = "The types are string, number, integer, boolean, object, array and null."
	referenceHint = "Definitions are under $defs (or definitions): #/$defs/name."
)

// schemaFaults explains the compiler's error.
func schemaFaults(n *tree.Node, err error) []schemaFault {
	var invalid *jsonschema.SchemaValidationError
	var detail *jsonschema.ValidationError
	var pattern *jsonschema.InvalidRegexError
	var load *jsonschema.LoadURLError
	var pointer *jsonschema.JSONPointerNotFoundError
	var anchor *jsonschema.AnchorNotFoundError
	switch {
	case errors.As(err, &invalid) && errors.As(invalid.Err, &detail):
		var faults []schemaFault
		for _, v := range listViolations(detail, n) {
			hint := ""
			switch {
			case strings.HasPrefix(v.Message, "must be a valid regex"):
				hint = patternHint
			case strings.Contains(v.Message, jsonTypes):
				hint = typeHint
			}
			faults = append(faults, schemaFault{path: v.location, message: v.Message, hint: hint})
		}
		return faults
	case errors.As(err, &pattern):
		return []schemaFault{{
			path:    fragmentPath(pattern.URL),
			message: fmt.Sprintf("the pattern %q is not a regular expression: %v", tree.Shorten(pattern.Regex), pattern.Err),
			hint:    patternHint,
		}}
	case errors.As(err, &load):
		return []schemaFault{{
			path:    referencePath(n, load.URL),
			message: fmt.Sprintf("%q cannot be resolved: %v", strings.TrimSuffix(load.URL, "#"), load.Err),
			hint:    "Put the definition under $defs and refer to it with #/$defs/name.",
		}}
	case errors.As(err, &pointer):
		return []schemaFault{{
			path:    referencePath(n, pointer.URL),
			message: "the reference #" + fragment(pointer.URL) + " leads nowhere",
			hint:    referenceHint,
		}}
	case errors.As(err, &anchor):
		return []schemaFault{{
			path:    referencePath(n, anchor.Reference),
			message: fmt.Sprintf("the anchor of the reference %q does not exist", strings.TrimPrefix(anchor.Reference, schemaURL)),
			hint:    referenceHint,
		}}
	default:
		return []schemaFault{{message: strings.ReplaceAll(err.Error(), schemaURL, "schema")}}
	}
}

func fragment(location string) string {
	_, after, _ := strings.Cut(location, "#")
	if decoded, err := url.PathUnescape(after); err == nil {
		return decoded
	}
	return after
}

// fragmentPath splits the JSON pointer of a location into its tokens.
func fragmentPath(location string) []string {
	pointer := strings.TrimPrefix(fragment(location), "/")
	if pointer == "" {
		return nil
	}
	tokens := strings.Split(pointer, "/")
	for i, token := range tokens {
		tokens[i] = strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
	}
	return tokens
}

// referencePath finds the reference that the compiler could not resolve. The
// compiler gives only the target of the reference, not its place.
func referencePath(n *tree.Node, target string) []string {
	target = strings.TrimSuffix(target, "#")
	var search func(n *tree.Node, path []string) []string
	search = func(n *tree.Node, path []string) []string {
		for i, item := range n.Items {
			if found := search(item, append(path, fmt.Sprint(i))); found != nil {
				return found
			}
		}
		for _, m := range n.Members {
			here := append(path, m.Key)
			isReference := m.Key == "$ref" || m.Key == "$schema" || m.Key == "$dynamicRef"
			if isReference && m.Value.Kind == tree.String && m.Value.Text != "" {
				text := strings.TrimSuffix(m.Value.Text, "#")
				if strings.HasSuffix(target, text) || strings.HasSuffix("#"+fragment(target), text) ||
					strings.HasPrefix(text, target+"#") {
					return append([]string(nil), here...)
				}
			}
			if found := search(m.Value, here); found != nil {
				return found
			}
		}
		return nil
	}
	return search(n, nil)
}

// checkDefaultsEnd fills in an empty context. It finds defaults that never end
// when the template is read.
func (s *contextSchema) checkDefaultsEnd() error {
	_, err := s.fill(tree.FromPlain(map[string]any{}))
	return err
}

// validate returns the violations of a filled-in context, in document order.
func (s *contextSchema) validate(n *tree.Node) (violations []Violation) {
	defer func() {
		if p := recover(); p != nil {
			violations = []Violation{{Path: rootPath, Message: fmt.Sprintf("the validator failed: %v", p)}}
		}
	}()
	err := s.compiled.Validate(n.Plain())
	if err == nil {
		return nil
	}
	var detail *jsonschema.ValidationError
	if !errors.As(err, &detail) {
		return []Violation{{Path: rootPath, Message: err.Error()}}
	}
	for _, v := range listViolations(detail, n) {
		violations = append(violations, v.Violation)
	}
	return violations
}
