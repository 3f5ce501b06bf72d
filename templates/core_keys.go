package templates

// The keys of Tasker Core's format. docs/templates.md describes each of them.
// Some only describe the template; they are warnings. Some change what happens in
// a way that is not there yet; they are errors.

var coreTemplateKeys = []key{
	{"name", "text", required},
	{"namespace_name", "text", "default"},
	{"version", "text", defaultCoreVersion},
	{"description", "text", "none"},
	{"task_handler", "mapping", "none"},
	{"system_dependencies", "mapping", "{}"},
	{"domain_events", "list of mappings", "[]"},
	{"input_schema", "JSON Schema", "none"},
	{"steps", "list of mappings", required},
	{"environments", "mapping", "{}"},
	{"concurrent", "Boolean", "true"},
	{"queue", "text", "default"},
	{"keep", "text", "none"},
	{"metadata", "anything", "none"},
	{"lifecycle", "anything", "none"},
	{"loaded_from", "anything", "none"},
}

var coreStepKeys = []key{
	{"name", "text", required},
	{"description", "text", "the name"},
	{"handler", "mapping", required},
	{"type", "text", "standard"},
	{"step_type", "text", "standard"},
	{"system_dependency", "text", "system_dependencies.primary"},
	{"dependencies", "list of text", "[]"},
	{"depends_on", "list of text", "[]"},
	{"retry", "mapping", "see below"},
	{"timeout_seconds", "number", "none"},
	{"publishes_events", "list", "[]"},
	{"skippable", "Boolean", "false"},
	{"transaction", "text", "lazy"},
	{"isolation", "text", "the database's"},
	{"concurrency_key", "text", "none"},
	{"concurrency_limit", "integer", "1"},
	{"keep_threads", "Boolean", "false"},
	{"retry_programming_errors", "Boolean", "false"},
	{"lifecycle", "anything", "none"},
	{"result_schema", "anything", "none"},
	{"batch_config", "refused", "none"},
	{"composition", "refused", "none"},
}

var coreHandlerKeys = []key{
	{"callable", "text", required},
	{"method", "text", "none"},
	{"initialization", "mapping", "{}"},
	{"resolver", "refused", "none"},
}

var coreTaskHandlerKeys = []key{
	{"callable", "Ruby constant", "none"},
	{"initialization", "mapping", "{}"},
}

var coreRetryKeys = []key{
	{"retryable", "Boolean", "true"},
	{"max_attempts", "integer", "3"},
	{"limit", "integer", "3"},
	{"backoff", "text", "exponential"},
	{"backoff_base_ms", "integer", "1000"},
	{"initial_delay", "number", "1"},
	{"max_backoff_ms", "integer", "30000"},
	{"max_delay", "number", "30"},
}

// coreSynonyms are the keys that say the same. Some are from earlier versions of
// Tasker Core.
var coreSynonyms = [][2]string{
	{"type", "step_type"}, {"dependencies", "depends_on"}, {"max_attempts", "limit"},
	{"backoff_base_ms", "initial_delay"}, {"max_backoff_ms", "max_delay"},
}

var coreSystemKeys = []key{
	{"primary", "text", "default"},
	{"secondary", "list of text", "[]"},
}

var coreEventKeys = []key{
	{"name", "text", required},
	{"description", "text", "none"},
	{"schema", "anything", "none"},
	{"condition", "text", "success"},
	{"delivery_mode", "text", "durable"},
	{"publisher", "text", "none"},
}

// coreEnvironmentKeys are the keys of environments.<name>.
var coreEnvironmentKeys = without(coreTemplateKeys, "name", "namespace_name", "version", "environments")
