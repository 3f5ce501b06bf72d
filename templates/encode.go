package templates

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tasker-rb/tasker-rb/templates/internal/tree"
)

// Encode returns the template as JSON. The document has the keys of a template
// file, with the environment merged and every default written out. The same
// template always gives the same text, and [Decode] reads it back. Store it as
// text: a jsonb column would reorder the keys of handler_config.
func (t *Template) Encode() []byte { return t.document().AppendJSON(nil) }

// Decode reads a document that [Template.Encode] wrote. The positions of the
// result are empty. The error is a [*Problems].
func Decode(data []byte) (*Template, error) {
	problems := newCollector("")
	root, err := tree.ParseJSON(data)
	if problems.absorb(err) {
		return nil, problems.err()
	}
	if root.Kind != tree.Object {
		problems.at(root, "", "a template must be a mapping, found %s", root.Describe())
		return nil, problems.err()
	}
	t, err := parseDocument(root, "", &builder{problems: problems, stored: true, format: engineFormat})
	if err != nil {
		return nil, err
	}
	t.Position, t.TaskHandlerPosition = Position{}, Position{}
	for _, s := range t.Steps {
		s.Position, s.HandlerPosition = Position{}, Position{}
	}
	return t, nil
}

// Digest returns the SHA-256 of the template's meaning, in hexadecimal. Comments,
// positions, the spelling of a value, and the order of keys and steps in the file
// do not change it. A default that is written out gives the same digest as one
// that is left out.
func (t *Template) Digest() string {
	sum := sha256.Sum256(t.comparable().AppendJSON(nil))
	return hex.EncodeToString(sum[:])
}

// document returns the tree that Encode writes.
func (t *Template) document() *tree.Node {
	d := object()
	d.text("name", t.Name)
	d.text("namespace_name", t.Namespace)
	d.text("version", t.Version)
	d.optional("description", t.Description)
	d.optional("module_namespace", t.ModuleNamespace)
	class := t.TaskHandlerClass
	if t.ModuleNamespace != "" {
		class = strings.TrimPrefix(class, t.ModuleNamespace+"::")
	}
	d.optional("task_handler_class", class)
	d.boolean("concurrent", t.Concurrent)
	d.text("default_dependent_system", t.DefaultDependentSystem)
	if t.Schema != nil {
		d.raw("schema", t.Schema)
	}
	d.raw("handler_config", t.HandlerConfig)
	d.events(t.CustomEvents)
	// Left out otherwise: the digests of stored templates stay as they are.
	if t.Queue != defaultQueue {
		d.text("queue", t.Queue)
	}
	d.optional("keep", t.Keep.String())
	steps := &tree.Node{Kind: tree.Array}
	for _, s := range t.Steps {
		steps.Items = append(steps.Items, s.document())
	}
	d.set("step_templates", steps)
	return d.node
}

func (s *Step) document() *tree.Node {
	d := object()
	d.text("name", s.Name)
	d.text("handler_class", s.HandlerClass)
	d.optional("handler_method", s.HandlerMethod) // left out otherwise: the digests of stored templates stay as they are
	d.text("description", s.Description)
	d.text("dependent_system", s.DependentSystem)
	d.boolean("default_retryable", s.Retryable)
	d.number("default_retry_limit", strconv.Itoa(s.RetryLimit))
	d.boolean("skippable", s.Skippable)
	parents := &tree.Node{Kind: tree.Array}
	for _, name := range s.Parents {
		parents.Items = append(parents.Items, &tree.Node{Kind: tree.String, Text: name})
	}
	d.set("depends_on_steps", parents)
	d.raw("handler_config", s.HandlerConfig)
	d.events(s.CustomEvents)
	if len(s.Published) > 0 { // left out otherwise, like handler_method
		d.set("publishes_events", publishedDocument(s.Published))
	}
	if s.Timeout > 0 {
		d.number("timeout_seconds", formatSeconds(s.Timeout))
	}
	d.set("backoff", s.Backoff.document())
	d.text("transaction", string(s.Transaction))
	d.optional("isolation", string(s.Isolation))
	d.optional("concurrency_key", s.ConcurrencyKey)
	if s.ConcurrencyLimit > defaultConcurrencyLimit {
		d.number("concurrency_limit", strconv.Itoa(s.ConcurrencyLimit))
	}
	if s.KeepThreads { // left out otherwise: the digests of stored templates stay as they are
		d.boolean("keep_threads", true)
	}
	if s.RetryProgrammingErrors {
		d.boolean("retry_programming_errors", true)
	}
	return d.node
}

// document writes the two times only if the template sets one of them. Their
// presence means that the wait has no minimum.
func (b Backoff) document() *tree.Node {
	d := object()
	d.text("curve", string(b.Curve))
	if b.Min == 0 {
		d.number("base_seconds", formatSeconds(b.Base))
		d.number("max_seconds", formatSeconds(b.Max))
	}
	d.number("jitter", strconv.FormatFloat(b.Jitter, 'f', -1, 64))
	return d.node
}

// comparable returns the document with its keys, steps and lists sorted where
// their order has no meaning.
func (t *Template) comparable() *tree.Node {
	d := t.document().Sorted()
	byText := func(key string) func(a, b *tree.Node) int {
		return func(a, b *tree.Node) int { return strings.Compare(textOf(a, key), textOf(b, key)) }
	}
	steps := d.Get("step_templates").Value
	slices.SortFunc(steps.Items, byText("name"))
	for _, s := range steps.Items {
		slices.SortFunc(s.Get("depends_on_steps").Value.Items, byText(""))
		slices.SortFunc(s.Get("custom_events").Value.Items, byText("name"))
	}
	slices.SortFunc(d.Get("custom_events").Value.Items, byText("name"))
	return d
}

func textOf(n *tree.Node, key string) string {
	if key == "" {
		return n.Text
	}
	return n.Get(key).Value.Text
}

// objectBuilder puts members into a tree.
type objectBuilder struct{ node *tree.Node }

func object() objectBuilder { return objectBuilder{&tree.Node{Kind: tree.Object}} }

func (d objectBuilder) set(key string, value *tree.Node) {
	d.node.Members = append(d.node.Members, tree.Member{Key: key, Value: value})
}

func (d objectBuilder) text(key, value string) {
	d.set(key, &tree.Node{Kind: tree.String, Text: value})
}

func (d objectBuilder) optional(key, value string) {
	if value != "" {
		d.text(key, value)
	}
}

func (d objectBuilder) boolean(key string, value bool) {
	d.set(key, &tree.Node{Kind: tree.Bool, Text: strconv.FormatBool(value)})
}

func (d objectBuilder) number(key, text string) {
	kind := tree.Integer
	if strings.Contains(text, ".") {
		kind = tree.Float
	}
	d.set(key, &tree.Node{Kind: kind, Text: text})
}

// raw adds JSON that this package wrote itself.
func (d objectBuilder) raw(key string, value json.RawMessage) {
	n, err := tree.ParseJSON(value)
	if err != nil {
		panic(errors.Join(fmt.Errorf("templates: %s of a template is not JSON", key), err))
	}
	d.set(key, n)
}

func (d objectBuilder) events(events []CustomEvent) {
	list := &tree.Node{Kind: tree.Array}
	for _, e := range events {
		item := object()
		item.text("name", e.Name)
		item.optional("description", e.Description)
		list.Items = append(list.Items, item.node)
	}
	d.set("custom_events", list)
}
