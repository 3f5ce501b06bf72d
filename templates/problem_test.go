package templates_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/templates"
)

// steps is a valid list of steps, to which a test adds its subject.
const steps = "step_templates:\n  - {name: a, handler_class: A}\n"

// problemCases maps a template to its problems, each as line:column: message,
// with the hint after a bar. They also seed FuzzParse.
var problemCases = []struct {
	name, yaml string
	want       []string
}{
	{"empty", "", []string{`1:1: the file is empty | Begin with name: and step_templates:.`}},
	{"only a comment", "# nothing\n", []string{`1:1: the file is empty | Begin with name: and step_templates:.`}},
	{"a list", "- a\n", []string{`1:1: a template must be a mapping, found a list | Begin with name: and step_templates:.`}},
	{"text", "hello\n", []string{`1:1: a template must be a mapping, found the text "hello" | Begin with name: and step_templates:.`}},
	{"syntax: indentation", "name: x\nstep_templates:\n  - name: a\n   handler_class: A\n",
		[]string{`4:4: this is not valid YAML: did not find expected '-' indicator | Check the indentation, the quotes and the brackets of this line and the one before it.`}},
	{"syntax: tab", "name: x\nstep_templates:\n\t- name: a\n",
		[]string{`3:1: this is not valid YAML: found character that cannot start any token | Indent with spaces: YAML does not allow tabs.`}},
	{"syntax: bracket", "name: x\nnamed_steps: [a, b\nversion: 1.0.0\n",
		[]string{`2:1: this is not valid YAML: did not find expected ',' or ']' | Check the indentation, the quotes and the brackets of this line and the one before it.`}},
	{"syntax: behind a flow of several lines", "name: x\nnamed_steps: [\n  a,\n  b\n]\nfoo: @bar\n",
		[]string{"6:1: this is not valid YAML: found character that cannot start any token | Put a value that begins with @, %, ` or another special character in quotes."}},
	{"syntax: colon", "name: x: y\n",
		[]string{`1:1: this is not valid YAML: mapping values are not allowed in this context | Put a value that holds ': ' in quotes, and check the indentation.`}},
	{"syntax: unknown anchor", "name: x\ndescription: *nope\n",
		[]string{`2:1: this is not valid YAML: unknown anchor 'nope' referenced | Define the anchor (&name) above the alias (*name), or put the text in quotes.`}},
	{"syntax: escape", "name: \"a\\qb\"\n",
		[]string{"1:1: this is not valid YAML: found unknown escape character | Write \\\\ for a backslash in double quotes, or use single quotes."}},
	{"not UTF-8", "name: \xff\n", []string{`1:7: the file is not in UTF-8: it has the byte 0xff here | Save it as UTF-8.`}},
	{"Latin-1", "name: x\n" + steps + "# äöü\n# caf\xe9\n", []string{`5:6: the file is not in UTF-8: it has the byte 0xe9 here | Save it as UTF-8.`}},
	{"syntax: no space after a colon", "name:x\n\n# the steps\n" + steps,
		[]string{`1:5: this is not valid YAML: did not find expected <document start> | Write a space after this colon.`}},
	{"syntax: no space after a colon in a later line", "name: x\nversion:1\n" + steps,
		[]string{`2:8: this is not valid YAML: could not find expected ':' | Write a space after this colon.`}},
	{"syntax: no space after a colon in a list", "name: x\nstep_templates:\n  - name:a\n    handler_class: A\n",
		[]string{`3:9: this is not valid YAML: mapping values are not allowed in this context | Write a space after this colon.`}},
	{"too many values", "name: x\nhandler_config:\n  a: &a [" + strings.Repeat("1, ", 500) + "1]\n  b: [" + strings.Repeat("*a, ", 500) + "1]\n" + steps,
		[]string{`3:922: the document holds more than 200000 values once its aliases are expanded | Write less, or use fewer aliases.`}},
	{"a name that is a number", "name: x\nstep_templates:\n  - {name: 7, handler_class: A, concurrency_limit: 2}\n",
		[]string{`3:12: name must be text, found the value 7 | Put it in quotes: "7"`,
			`3:33: the step has a concurrency_limit and no concurrency_key | Add concurrency_key: with a name that the steps of this limit share, or remove it.`}},
	{"two documents", "name: x\n" + steps + "---\nname: y\n",
		[]string{`4:1: the file holds a second YAML document | Write one template a file: remove the line --- or move what follows it.`}},
	{"duplicate keys", "name: x\nname: y\n" + steps, []string{`2:1: the key "name" is given twice, first at 1:1 | Remove one of the two.`}},
	{"duplicate key deep down", "name: x\nhandler_config: {a: {b: 1, b: 2}}\n" + steps,
		[]string{`2:28: the key "b" is given twice, first at 2:22 | Remove one of the two.`}},
	{"list as key", "name: x\nhandler_config: {? [a] : 1}\n" + steps, []string{`2:20: a key cannot be a list or a mapping | Use plain text as the key.`}},
	{"anchor in itself", "name: x\nhandler_config: &c {a: *c}\n" + steps,
		[]string{`2:17: the anchor &c contains itself | An anchor cannot be used inside of itself.`}},
	{"merge of text", "name: x\nhandler_config: {<<: text}\n" + steps,
		[]string{`2:22: a merge key << needs a mapping or a list of mappings | Write << : *name with the anchor of a mapping.`}},
	{"infinity", "name: x\nhandler_config: {a: .inf}\n" + steps,
		[]string{`2:21: .inf has no JSON form | Write a finite number, or put the text in quotes.`}},
	{"huge exponent", "name: x\nhandler_config: {a: 1e999999999}\n" + steps,
		[]string{`2:21: the exponent of 1e999999999 is beyond the limit of 1000 | Write a finite number, or put the text in quotes.`}},
	{"NUL", "name: x\nhandler_config: {a: \"b\\0\"}\n" + steps,
		[]string{`2:21: a text cannot hold the NUL character: PostgreSQL cannot store it | Remove it.`}},
	{"queue with a comma", "name: x\nqueue: a,b\n" + steps,
		[]string{`2:8: queue cannot be "a,b" | Use letters, digits, '_', '-' and '.', and begin with a letter or a digit.`}},
	{"queue that is a number", "name: x\nqueue: 7\n" + steps, []string{`2:8: queue must be text, found the value 7 | Put it in quotes: "7"`}},
	{"queue that is long", "name: x\nqueue: " + strings.Repeat("q", 64) + "\n" + steps, []string{`2:8: queue has 64 bytes, the limit is 63`}},
	{"keep without a unit", "name: x\nkeep: 30\n" + steps,
		[]string{`2:7: keep has no unit: 30 | Write days, hours or minutes, such as 30d or 12h, or forever.`}},
	{"keep that is no time", "name: x\nkeep: a month\n" + steps,
		[]string{`2:7: keep is not a time: "a month" | Write days, hours or minutes, such as 30d or 12h, or forever.`}},
	{"keep of nothing", "name: x\nkeep: 0d\n" + steps,
		[]string{`2:7: keep is not more than 0: "0d" | Write days, hours or minutes, such as 30d or 12h, or forever.`}},
	{"keep for too long", "name: x\nkeep: 99999999d\n" + steps,
		[]string{`2:7: keep is more than 36500 days: "99999999d" | Write days, hours or minutes, such as 30d or 12h, or forever.`}},
	{"keep that is a list", "name: x\nkeep: [30d]\n" + steps, []string{`2:7: keep must be text, found a list`}},
	{"tag", "name: !ruby/object:Foo x\n" + steps, []string{`1:7: the tag !ruby/object:Foo has no meaning in a template | Remove the tag.`}},
	{"tag of a list", "name: x\nhandler_config: !!set {a: }\n" + steps, []string{`2:17: the tag !!set has no meaning in a template | Remove the tag.`}},
	{"tag and value", "name: x\nhandler_config: {a: !!int b}\n" + steps,
		[]string{`2:21: "b" is not an integer, which its tag !!int says | Remove the tag or correct the value.`}},

	{"nothing but a version", "version: 1.0.0\n",
		[]string{`1:1: the template has no name | Add a line name: with the name of the task.`,
			`1:1: the template has no step_templates | Add step_templates: with a list of steps.`}},
	{"unknown key", "name: x\ndescripton: y\n" + steps, []string{`2:1: a template has no key "descripton" | Did you mean "description"?`}},
	{"unknown key like nothing", "name: x\nzzzzzz: y\n" + steps, []string{
		`2:1: a template has no key "zzzzzz" | Known keys: name, namespace_name, version, description, task_handler_class, module_namespace, concurrent, default_dependent_system, named_steps, schema, handler_config, custom_events, queue, keep, step_templates, environments.`}},
	{"name: number", "name: 5\n" + steps, []string{`1:7: name must be text, found the value 5 | Put it in quotes: "5"`}},
	{"name: Boolean", "name: no\n" + steps, []string{`1:7: name must be text, found the value no | Put it in quotes: "no"`}},
	{"name: nothing", "name:\n" + steps, []string{`1:6: name must be text, found nothing | Give it a value.`}},
	{"name: empty", "name: ''\n" + steps, []string{`1:7: name is empty | Give it a value.`}},
	{"name: space", "name: ' x'\n" + steps, []string{`1:7: name " x" has space around it | Write "x".`}},
	{"name: control", "name: \"a\\tb\"\n" + steps, []string{`1:7: name "a\tb" holds a character that cannot be printed | Use printable characters on one line.`}},
	{"name: long", "name: " + strings.Repeat("x", 256) + "\n" + steps, []string{`1:7: name has 256 characters, the limit is 255`}},
	{"namespace_name", "name: x\nnamespace_name: [a]\n" + steps, []string{`2:17: namespace_name must be text, found a list`}},
	{"version: number", "name: x\nversion: 1.2\n" + steps, []string{`2:10: version must be a semantic version, found the value 1.2 | Write 1.2.0.`}},
	{"version: text", "name: x\nversion: latest\n" + steps, []string{`2:10: version must be a semantic version, found the text "latest" | Write three numbers, such as 1.0.0.`}},
	{"version: zero", "name: x\nversion: v01.2.3\n" + steps, []string{`2:10: version must be a semantic version, found the text "v01.2.3" | Write 1.2.3.`}},
	{"description", "name: x\ndescription: {}\n" + steps, []string{`2:14: description must be text, found a mapping`}},
	{"concurrent", "name: x\nconcurrent: \"true\"\n" + steps, []string{`2:13: concurrent must be true or false, found the text "true" | Write it without quotes.`}},
	{"default_dependent_system", "name: x\ndefault_dependent_system: 1\n" + steps, []string{`2:27: default_dependent_system must be text, found the value 1 | Put it in quotes: "1"`}},
	{"module_namespace", "name: x\nmodule_namespace: shop\n" + steps, []string{`2:19: module_namespace "shop" is not the name of a Ruby class | Did you mean "Shop"?`}},
	{"task_handler_class", "name: x\ntask_handler_class: 9\n" + steps, []string{`2:21: task_handler_class must be text, found the value 9 | Write the name of a Ruby class, such as Orders::ValidateOrder.`}},
	{"handler_config", "name: x\nhandler_config: [1]\n" + steps, []string{`2:17: handler_config must be a mapping, found a list`}},
	{"custom_events", "name: x\ncustom_events: [{name: a}, {name: a}, {description: b}, {name: c, nme: d}, e]\n" + steps, []string{
		`2:35: the event "a" is given twice, first at t.yml:2:24 | Remove one of the two.`,
		`2:39: custom_events[2] has no name | Add a name.`,
		`2:67: a custom event has no key "nme" | Did you mean "name"?`,
		`2:76: custom_events[4] must be a mapping, found the text "e"`}},
	{"step_templates: mapping", "name: x\nstep_templates: {a: 1}\n", []string{`2:17: step_templates must be a list, found a mapping`}},
	{"step_templates: empty", "name: x\nstep_templates: []\n", []string{`2:17: step_templates is empty | Add a step.`}},
	{"schema: text", "name: x\nschema: text\n" + steps, []string{`2:9: schema must be a mapping, found the text "text"`}},
	{"schema: type", "name: x\nschema:\n  type: objct\n" + steps, []string{
		`3:3: schema.type: fits none of the allowed forms (must be one of "array", "boolean", "integer", "null", "number", "object", "string", got "objct") | The types are string, number, integer, boolean, object, array and null.`}},
	{"schema: pattern", "name: x\nschema:\n  properties:\n    x: {pattern: \"(?=a)\"}\n" + steps, []string{
		`4:9: schema.properties.x.pattern: must be a valid regex, got "(?=a)" | Patterns are in RE2 syntax, which has no lookaround and no backreferences.`}},
	{"schema: key that is a pattern", "name: x\nschema:\n  $schema: http://json-schema.org/draft-04/schema#\n  patternProperties: {\"(?=a)\": {}}\n" + steps, []string{
		"4:3: schema.patternProperties: the pattern \"(?=a)\" is not a regular expression: error parsing regexp: invalid or unsupported Perl syntax: `(?=` | Patterns are in RE2 syntax, which has no lookaround and no backreferences."}},
	{"schema: unknown dialect", "name: x\nschema:\n  $schema: http://example.com/schema\n" + steps, []string{
		`3:3: schema.$schema: "http://example.com/schema" cannot be resolved: it is outside of the template | Put the definition under $defs and refer to it with #/$defs/name.`}},
	{"schema: reference", "name: x\nschema:\n  properties:\n    x: {$ref: \"#/$defs/no\"}\n" + steps, []string{
		`4:9: schema.properties.x.$ref: the reference #/$defs/no leads nowhere | Definitions are under $defs (or definitions): #/$defs/name.`}},
	{"schema: foreign reference", "name: x\nschema:\n  properties:\n    x: {$ref: \"file:///etc/passwd\"}\n" + steps, []string{
		`4:9: schema.properties.x.$ref: "file:///etc/passwd" cannot be resolved: it is outside of the template | Put the definition under $defs and refer to it with #/$defs/name.`}},
	{"schema: anchor", "name: x\nschema:\n  properties:\n    x: {$ref: \"#no\"}\n" + steps, []string{
		`4:9: schema.properties.x.$ref: the anchor of the reference "#no" does not exist | Definitions are under $defs (or definitions): #/$defs/name.`}},
	{"schema: defaults that do not fit", "name: x\nschema:\n  properties:\n    n: {type: integer, default: none}\n    o:\n      default: {a: {b: long}}\n      properties:\n" +
		"        a: {properties: {b: {maxLength: 2}, c: {type: string, default: 5}}, required: [d]}\n    r: {$ref: \"#/$defs/color\"}\n    m: {type: string}\n" +
		"    unused: {not: {properties: {x: {type: string, default: 5}}}}\n  $defs:\n    color: {enum: [red, blue], default: green}\n" + steps, []string{
		`4:24: schema.properties.n.default: must be an integer, got a string | Correct the default, or the schema of its property; a property that may be left out needs no default.`,
		`6:17: schema.properties.o.default.a.d: is required | Correct the default, or the schema of its property; a property that may be left out needs no default.`,
		`6:21: schema.properties.o.default.a.b: must have at most 2 characters, got 4 | Correct the default, or the schema of its property; a property that may be left out needs no default.`,
		`8:63: schema.properties.o.properties.a.properties.c.default: must be a string, got a number | Correct the default, or the schema of its property; a property that may be left out needs no default.`,
		`13:32: schema.$defs.color.default: must be one of "red", "blue", got "green" | Correct the default, or the schema of its property; a property that may be left out needs no default.`}},
	{"schema: endless defaults", "name: x\nschema:\n  properties:\n    x: {$ref: \"#\", default: {}}\n" + steps, []string{
		`3:3: schema: the defaults of the schema never end | Remove the default in the schema that refers to itself.`}},

	{"step: text", "name: x\nstep_templates: [a]\n", []string{`2:18: step_templates[0] must be a mapping, found the text "a"`}},
	{"step: nothing in it", "name: x\nstep_templates:\n  - {}\n", []string{
		`3:5: the step has no name | Add a name.`, `3:5: the step has no handler_class | Add handler_class: with the name of a Ruby class.`}},
	{"step: unknown key", "name: x\nstep_templates:\n  - {name: a, handler_class: A, retry_limit: 1}\n",
		[]string{`3:33: a step has no key "retry_limit" | Did you mean "default_retry_limit"? It counts all attempts, the first one included.`}},
	{"step: class of a file", "name: x\nstep_templates:\n  - {name: a, handler_class: shop/do_it.rb}\n",
		[]string{`3:30: handler_class "shop/do_it.rb" is not the name of a Ruby class | Did you mean "Shop::DoIt"?`}},
	{"step: class, empty and odd", "name: x\nstep_templates:\n  - {name: a, handler_class: ''}\n  - {name: b, handler_class: 'A::9'}\n", []string{
		`3:30: handler_class is empty | Write the name of a Ruby class, such as Orders::ValidateOrder.`,
		`4:30: handler_class "A::9" is not the name of a Ruby class | Write a constant path, such as Orders::ValidateOrder.`}},
	{"step: types", `name: x
step_templates:
  - name: a
    handler_class: A
    description: 1
    dependent_system: {}
    default_retryable: 3
    default_retry_limit: 2.5
    skippable: never
    depends_on_step: [b]
    depends_on_steps: b
    handler_config: text
    custom_events: {}
    timeout_seconds: "5"
    backoff: fast
    transaction: 1
    isolation: 2
    concurrency_key: 3
    concurrency_limit: 0
    keep_threads: sometimes
`, []string{
		`5:18: description must be text, found the value 1 | Put it in quotes: "1"`,
		`6:23: dependent_system must be text, found a mapping`,
		`7:24: default_retryable must be true or false, found the value 3`,
		`8:26: default_retry_limit must be an integer, found the value 2.5`,
		`9:16: skippable must be true or false, found the text "never"`,
		`10:5: depends_on_step takes one name | Rename the key to depends_on_steps.`,
		`10:22: depends_on_step must be text, found a list`,
		`11:23: depends_on_steps must be a list, found the text "b" | Write a list: [b]`,
		`12:21: handler_config must be a mapping, found the text "text"`,
		`13:20: custom_events must be a list, found a mapping`,
		`14:22: timeout_seconds must be a number, found the text "5" | Write it without quotes.`,
		`15:14: backoff must be a mapping, found the text "fast"`,
		`16:18: transaction must be text, found the value 1 | Write "lazy", "always" or "none".`,
		`17:16: isolation must be text, found the value 2 | Write "read uncommitted", "read committed", "repeatable read" or "serializable".`,
		`18:22: concurrency_key must be text, found the value 3 | Put it in quotes: "3"`,
		`19:24: concurrency_limit is 0; it must be from 1 to 10000`,
		`20:19: keep_threads must be true or false, found the text "sometimes"`}},
	{"step: a limit without a key", `name: x
step_templates:
  - name: a
    handler_class: A
    concurrency_limit: 2
`, []string{
		`5:5: the step "a" has a concurrency_limit and no concurrency_key | Add concurrency_key: with a name that the steps of this limit share, or remove it.`}},
	{"step: values", `name: x
step_templates:
  - name: a
    handler_class: A
    default_retry_limit: -1
    timeout_seconds: 0
    backoff: {curve: linaer, base_seconds: -1, max_seconds: 1e9, jitter: 1.5, bse: 1}
    transaction: lasy
    isolation: Read-Comitted
  - name: b
    handler_class: B
    backoff: {base_seconds: 5, max_seconds: 0.5}
  - name: c
    handler_class: C
    backoff: {base_seconds: 400}
    transaction: none
    isolation: serializable
`, []string{
		`5:26: default_retry_limit is -1; it must be from 0 to 10000`,
		`6:22: timeout_seconds is 0; it must be more than 0 and at most 604800 (7 days)`,
		`7:22: curve is "linaer"; it must be "none", "linear" or "exponential" | Did you mean "linear"?`,
		`7:44: base_seconds is -1; it must be at least 0 and at most 31622400 (366 days)`,
		`7:61: max_seconds is 1e9; it must be at least 0 and at most 31622400 (366 days)`,
		`7:74: jitter is 1.5; it must be from 0 to 1 | 0.1 stands for ±10 %.`,
		`7:79: backoff has no key "bse" | Known keys: curve, base_seconds, max_seconds, jitter.`,
		`8:18: transaction is "lasy"; it must be "lazy", "always" or "none" | Did you mean "lazy"?`,
		`9:16: isolation is "read comitted"; it must be "read uncommitted", "read committed", "repeatable read" or "serializable" | Did you mean "read committed" or "read uncommitted"?`,
		`12:45: max_seconds (500ms) is below base_seconds (5s) | Raise max_seconds or lower base_seconds.`,
		`15:29: base_seconds (6m40s) is above max_seconds, which is 5m0s by default | Set max_seconds as well.`,
		`17:16: the step "c" asks for an isolation level and for no transaction | Remove isolation, or transaction: none.`}},
	{"step: twice", "name: x\nstep_templates:\n  - {name: a, handler_class: A}\n  - {name: a, handler_class: B}\n",
		[]string{`4:12: the step "a" is given twice, first at t.yml:3:12 | Rename one of the two.`}},
	{"dependency: missing", "name: x\nstep_templates:\n  - {name: validate, handler_class: A}\n  - {name: ship, handler_class: B, depends_on_steps: [valdiate, moon]}\n", []string{
		`4:55: the step "ship" depends on "valdiate", which is not a step | Did you mean "validate"?`,
		`4:65: the step "ship" depends on "moon", which is not a step | Add the step, or correct the name.`}},
	{"dependency: itself", "name: x\nstep_templates:\n  - {name: a, handler_class: A, depends_on_step: a}\n",
		[]string{`3:50: the step "a" depends on itself | Remove it.`}},
	{"dependency: cycle", "name: x\nstep_templates:\n  - {name: z, handler_class: Z}\n  - {name: a, handler_class: A, depends_on_steps: [z, c]}\n  - {name: b, handler_class: B, depends_on_step: a}\n  - {name: c, handler_class: C, depends_on_step: b}\n  - {name: d, handler_class: D, depends_on_step: c}\n",
		[]string{`4:55: the steps depend on each other in a cycle: a -> c -> b -> a | Remove one of these dependencies.`}},
	{"dependency: two cycles", "name: x\nstep_templates:\n  - {name: a, handler_class: A, depends_on_step: b}\n  - {name: b, handler_class: B, depends_on_step: a}\n  - {name: c, handler_class: C, depends_on_steps: [d, b]}\n  - {name: d, handler_class: D, depends_on_step: c}\n", []string{
		`3:50: the steps depend on each other in a cycle: a -> b -> a | Remove one of these dependencies.`,
		`5:52: the steps depend on each other in a cycle: c -> d -> c | Remove one of these dependencies.`}},
	{"named_steps: types", "name: x\nnamed_steps: [a, 1, '']\n" + steps, []string{
		`2:18: named_steps[1] must be text, found the value 1 | Put it in quotes: "1"`,
		`2:21: named_steps[2] is empty | Give it a value, or remove it.`}},
	{"named_steps: disagree", "name: x\nnamed_steps: [charge, charge, ship]\nstep_templates:\n  - {name: charge, handler_class: A}\n  - {name: shop, handler_class: A}\n", []string{
		`2:23: named_steps has "charge" twice, first at t.yml:2:15 | Remove one of the two.`,
		`2:31: named_steps has "ship", which no step_templates define | Did you mean "shop"?`,
		`5:12: the step "shop" is not in named_steps | Did you mean "ship"?`}},

	{"environments: list", "name: x\nenvironments: []\n" + steps, []string{`2:15: environments must be a mapping, found a list`}},
	{"environment: faults", `name: x
step_templates:
  - {name: charge, handler_class: A}
environments:
  dev: 5
  test:
    name: y
    verson: 1
    step_templates:
      - {name: chrage, default_retry_limit: 1}
      - {name: charge, default_retry_limit: many, retires: 1}
      - {name: charge}
      - {handler_config: {}}
      - text
  prod:
    step_templates: {}
    step_overrides:
      ghost: {}
      charge: {timeout_seconds: -3, name: other}
      b: 5
    schema: {type: 5}
`, []string{
		`5:8: dev must be a mapping, found the value 5`,
		`warning: 7:5: an environment has no key "name" | Known keys: ` + environmentKeyNames + `.`,
		`warning: 8:5: an environment has no key "verson" | Known keys: ` + environmentKeyNames + `.`,
		`10:16: the environment changes the step "chrage", which is not a step of this template | Did you mean "charge"?`,
		`11:45: default_retry_limit must be an integer, found the text "many"`,
		`warning: 11:51: a step has no key "retires" | Did you mean "default_retry_limit"? It counts all attempts, the first one included.`,
		`12:16: the environment changes the step "charge" twice, first at t.yml:11:16 | Merge the two.`,
		`13:9: a step of an environment has no name | Add the name of the step that it changes.`,
		`14:9: a step of an environment must be a mapping, found the text "text"`,
		`16:21: step_templates must be a list, found a mapping`,
		`18:7: the environment changes the step "ghost", which is not a step of this template | An environment can change steps, not add them.`,
		`19:33: timeout_seconds is -3; it must be more than 0 and at most 604800 (7 days)`,
		`19:37: an environment cannot rename the step "charge" | Remove the key.`,
		`20:10: b must be a mapping, found the value 5`,
		`21:14: schema.type: fits none of the allowed forms (must be one of "array", "boolean", "integer", "null", "number", "object", "string", got 5) | The types are string, number, integer, boolean, object, array and null.`}},
}

const environmentKeyNames = "step_overrides, description, task_handler_class, module_namespace, concurrent, " +
	"default_dependent_system, named_steps, schema, handler_config, custom_events, queue, keep, step_templates"

var stepKeyNames = []string{
	"name", "handler_class", "handler_method", "description", "dependent_system", "default_retryable", "default_retry_limit",
	"skippable", "depends_on_step", "depends_on_steps", "handler_config", "custom_events", "publishes_events", "timeout_seconds",
	"backoff", "transaction", "isolation", "concurrency_key", "concurrency_limit", "keep_threads", "retry_programming_errors",
}

func TestProblems(t *testing.T) {
	t.Parallel()
	for _, tc := range problemCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tmpl, err := templates.Parse([]byte(tc.yaml), "t.yml")
			require.Nil(t, tmpl)
			var problems *templates.Problems
			require.ErrorAs(t, err, &problems)
			require.Equal(t, tc.want, lines(t, problems.List))
		})
	}
}

// lines writes problems as the tables have them.
func lines(t *testing.T, list []templates.Problem) (lines []string) {
	t.Helper()
	for _, p := range list {
		require.Equal(t, "t.yml", p.File)
		line := strings.TrimPrefix(p.String(), "t.yml:")
		if p.Warning {
			line = "warning: " + line
		}
		if p.Hint != "" {
			line += " | " + p.Hint
		}
		lines = append(lines, line)
	}
	return lines
}

func TestProblemsAreShownWithHints(t *testing.T) {
	t.Parallel()
	_, err := templates.Parse([]byte("name: x\n"+steps+"versoin: 1.0.0\nfoo: 1\n"), "t.yml")
	require.EqualError(t, err, `t.yml:4:1: a template has no key "versoin"
    Did you mean "version"?
t.yml:5:1: a template has no key "foo"
    Known keys: name, namespace_name, version, description, task_handler_class, module_namespace, concurrent, default_dependent_system, named_steps, schema, handler_config, custom_events, queue, keep, step_templates, environments.`)
}

func TestListOfProblemsEnds(t *testing.T) {
	t.Parallel()
	var many strings.Builder
	many.WriteString("name: x\nstep_templates:\n")
	for range 500 {
		many.WriteString("  - {}\n")
	}
	_, err := templates.Parse([]byte(many.String()), "t.yml")
	var problems *templates.Problems
	require.ErrorAs(t, err, &problems)
	require.Len(t, problems.List, 201)
	require.Equal(t, "800 more problems are not shown", problems.List[200].Message)
}
