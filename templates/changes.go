package templates

import (
	"regexp"
	"slices"
	"strings"

	"github.com/tasker-rb/tasker-rb/templates/internal/tree"
)

// Changes says in words how two templates differ. The lines of the template itself come
// first. Then there is a line for each step that is changed, new, gone or renamed. Changes
// is empty exactly when the digests are the same. [Diff] is for programs: it lists every
// value with its path.
func Changes(before, after *Template) []string {
	names := renames(before, after)
	old, now := byStep(before.withNames(names)), byStep(after)
	oldSteps, nowSteps := takeSteps(old), takeSteps(now)
	lines := changesOf(old, now)
	formerly := map[string]string{}
	for was, is := range names {
		formerly[is] = was
	}
	for _, s := range after.Steps {
		had, has := member(oldSteps, s.Name), member(nowSteps, s.Name)
		if had == nil {
			lines = append(lines, "new step "+s.Name+", "+place(has.Get("depends_on_steps").Value))
			continue
		}
		changed := strings.Join(changesOf(had, has), ", ")
		switch was, renamed := formerly[s.Name]; {
		case renamed && changed != "":
			lines = append(lines, "step "+was+" is now called "+s.Name+": "+changed)
		case renamed:
			lines = append(lines, "step "+was+" is now called "+s.Name)
		case changed != "":
			lines = append(lines, "step "+s.Name+": "+changed)
		}
	}
	for _, s := range before.Steps {
		if _, renamed := names[s.Name]; !renamed && after.Step(s.Name) == nil {
			lines = append(lines, "step "+s.Name+" is gone")
		}
	}
	return lines
}

func takeSteps(n *tree.Node) *tree.Node {
	at := slices.IndexFunc(n.Members, func(m tree.Member) bool { return m.Key == "step_templates" })
	steps := n.Members[at].Value
	n.Members = slices.Delete(n.Members, at, at+1)
	return steps
}

func member(n *tree.Node, key string) *tree.Node {
	if m := n.Get(key); m != nil {
		return m.Value
	}
	return nil
}

// keyWords are the words for keys of a template and of a step that are not their own.
var keyWords = map[string]string{
	"default_retry_limit": "retry limit", "default_retryable": "retryable", "depends_on_steps": "",
	"handler_class": "handler", "handler_method": "method", "task_handler_class": "task handler", "namespace_name": "namespace",
	"timeout_seconds": "timeout", "custom_events": "custom events", "dependent_system": "dependent system",
	"default_dependent_system": "default dependent system", "concurrency_key": "concurrency key",
	"concurrency_limit": "concurrency limit", "keep_threads": "keep threads", "module_namespace": "module namespace",
}

// changesOf says how two mappings differ whose keys are sorted.
func changesOf(before, after *tree.Node) []string {
	c := &changes{}
	c.members("", before, after)
	return c.list
}

type changes struct{ list []string }

func (c *changes) members(path string, before, after *tree.Node) {
	keys := map[string]bool{}
	for _, n := range []*tree.Node{before, after} {
		for _, m := range n.Members {
			keys[m.Key] = true
		}
	}
	for _, key := range sortedKeys(keys) {
		c.compare(path, key, member(before, key), member(after, key))
	}
}

func sortedKeys(set map[string]bool) []string {
	keys := make([]string, 0, len(set))
	for key := range set {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func (c *changes) compare(path, key string, before, after *tree.Node) {
	if lineOf(before) == lineOf(after) {
		return
	}
	where := under(path, key)
	if before != nil && after != nil && before.Kind == tree.Object && after.Kind == tree.Object {
		c.members(where, before, after)
		return
	}
	if word, known := keyWords[key]; known && path == "" {
		where = word
	}
	if where == "" {
		c.list = append(c.list, place(before)+" -> "+place(after))
		return
	}
	old, now := valueInWords(before), valueInWords(after)
	switch {
	case old != "" && now != "":
		c.list = append(c.list, where+" "+old+" -> "+now)
	case before == nil:
		c.list = append(c.list, where+" is new")
	case after == nil:
		c.list = append(c.list, where+" is gone")
	default:
		c.list = append(c.list, where+" changed")
	}
}

// place says where a step stands, by the steps that it depends on.
func place(parents *tree.Node) string {
	if len(parents.Items) == 0 {
		return "at the start"
	}
	names := make([]string, len(parents.Items))
	for i, p := range parents.Items {
		names[i] = p.Text
	}
	return "after " + strings.Join(names, ", ")
}

// mostOfValue is the longest value that is printed, in bytes.
const mostOfValue = 60

var plainValue = regexp.MustCompile(`^[\w.:#/-]+$`)

// valueInWords returns a value in one line, or "" if it is too long for that.
func valueInWords(n *tree.Node) string {
	if n == nil {
		return "unset"
	}
	text := lineOf(n)
	if n.Kind == tree.String && plainValue.MatchString(n.Text) {
		text = n.Text
	}
	if len(text) > mostOfValue {
		return ""
	}
	return text
}
