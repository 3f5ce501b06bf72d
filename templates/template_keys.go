package templates

// key is one key that a mapping of a template may have. docs/templates.md
// describes each key. A test compares the two.
type key struct {
	name string
	// kind and fallback use the words of docs/templates.md.
	kind, fallback string
}

const required = "required"

// templateKeys are the keys at the top of a file.
var templateKeys = []key{
	{"name", "text", required},
	{"namespace_name", "text", "default"},
	{"version", "text", "0.1.0"},
	{"description", "text", "none"},
	{"task_handler_class", "Ruby constant", "none"},
	{"module_namespace", "Ruby constant", "none"},
	{"concurrent", "Boolean", "true"},
	{"default_dependent_system", "text", "unknown"},
	{"named_steps", "list of text", "none"},
	{"schema", "JSON Schema", "none"},
	{"handler_config", "mapping", "{}"},
	{"custom_events", "list of mappings", "[]"},
	{"queue", "text", "default"},
	{"keep", "text", "none"},
	{"step_templates", "list of mappings", required},
	{"environments", "mapping", "{}"},
}

var stepKeys = []key{
	{"name", "text", required},
	{"handler_class", "Ruby constant", required},
	{"handler_method", "text", "none"},
	{"description", "text", "the name"},
	{"dependent_system", "text", "default_dependent_system"},
	{"default_retryable", "Boolean", "true"},
	{"default_retry_limit", "integer", "3"},
	{"skippable", "Boolean", "false"},
	{"depends_on_step", "text", "none"},
	{"depends_on_steps", "list of text", "[]"},
	{"handler_config", "mapping", "{}"},
	{"custom_events", "list of mappings", "[]"},
	{"publishes_events", "list", "[]"},
	{"timeout_seconds", "number", "none"},
	{"backoff", "mapping", "see below"},
	{"transaction", "text", "lazy"},
	{"isolation", "text", "the database's"},
	{"concurrency_key", "text", "none"},
	{"concurrency_limit", "integer", "1"},
	{"keep_threads", "Boolean", "false"},
	{"retry_programming_errors", "Boolean", "false"},
}

var backoffKeys = []key{
	{"curve", "text", "exponential"},
	{"base_seconds", "number", "1"},
	{"max_seconds", "number", "300"},
	{"jitter", "number", "0.1"},
}

var customEventKeys = []key{
	{"name", "text", required},
	{"description", "text", "none"},
}

// environmentKeys are the keys of environments.<name>. A template has the same
// identity in every environment, so the keys of its identity are left out.
var environmentKeys = append([]key{{"step_overrides", "mapping", "{}"}}, without(templateKeys,
	"name", "namespace_name", "version", "environments")...)

func without(keys []key, names ...string) []key {
	var rest []key
next:
	for _, k := range keys {
		for _, name := range names {
			if k.name == name {
				continue next
			}
		}
		rest = append(rest, k)
	}
	return rest
}

func keyNames(keys []key) []string {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.name
	}
	return names
}

// requiredKeys are the keys that some mapping must have.
var requiredKeys = func() []string {
	var names []string
	for _, keys := range [][]key{templateKeys, stepKeys, customEventKeys, coreTemplateKeys, coreStepKeys, coreHandlerKeys, coreEventKeys} {
		for _, k := range keys {
			if k.fallback == required {
				names = append(names, k.name)
			}
		}
	}
	return names
}()
