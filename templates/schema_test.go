package templates_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/templates"
)

// schemaOf is a template with a schema in one line. The schema begins at 2:9.
func schemaOf(schema string) string { return "name: x\nschema: " + schema + "\n" + steps }

func TestASchemaThatAdmitsNoObject(t *testing.T) {
	t.Parallel()
	const says = ": this admits no object, and a context is one: every task would be refused | "
	const object, correct = "Write object.", "Correct it, so that an object fits."
	for _, c := range []struct {
		schema string
		want   []string
	}{
		{"{type: string}", []string{"2:10: schema.type" + says + object}},
		{"{type: [string, 'null'], enum: [a]}", []string{"2:10: schema.type" + says + object, "2:34: schema.enum" + says + correct}},
		{"{const: 5}", []string{"2:10: schema.const" + says + correct}},
		{"{'not': {}, allOf: [{type: integer}]}", []string{"2:10: schema.not" + says + correct, "2:30: schema.allOf.0.type" + says + object}},
		{"{$ref: '#/$defs/a', $defs: {a: {type: array}}}", []string{"2:10: schema.$ref" + says + correct}},
		{"{anyOf: [{type: string}, {enum: [1]}]}", []string{"2:10: schema.anyOf" + says + correct}},
		{"{oneOf: [{type: string}, false]}", []string{"2:10: schema.oneOf" + says + correct}},
		{"{required: [a, b], properties: {a: {}}, additionalProperties: false}", []string{"2:24: schema.required.1" + says + correct}},
		{"{required: [a], properties: {a: false}}", []string{"2:21: schema.required.0" + says + correct}},
		{"{minProperties: 3, maxProperties: 2}", []string{"2:10: schema.minProperties" + says + correct}},
	} {
		_, err := templates.Parse([]byte(schemaOf(c.schema)), "t.yml")
		var problems *templates.Problems
		require.ErrorAs(t, err, &problems, c.schema)
		require.Equal(t, c.want, lines(t, problems.List))
	}
	for _, schema := range []string{
		"{}", "{type: object}", "{type: [string, object]}", "{enum: [1, {}]}", "{const: {a: 1}}", "{anyOf: [{type: string}, {type: object}]}",
		"{$ref: '#'}", "{allOf: [{$ref: '#/$defs/a'}], $defs: {a: {anyOf: [{$ref: '#/$defs/a'}]}}}", "{not: {type: string}}", "{not: {required: [a]}}",
		"{required: [a1], patternProperties: {'^a': {}}, additionalProperties: false}", "{required: [a], additionalProperties: {type: string}}",
		"{properties: {a: {type: string}}}",
	} {
		tmpl := parse(t, schemaOf(schema))
		require.Empty(t, tmpl.Warnings, schema)
	}
}

// JSON Schema allows unknown keywords. So they are warnings, and only if they are nearly known.
func TestKeywordsThatNothingReads(t *testing.T) {
	t.Parallel()
	const says = `: JSON Schema has no keyword `
	for _, c := range []struct {
		schema string
		want   []string
	}{
		{"{type: object, propertys: {id: {type: int}}}", []string{`warning: 2:24: schema` + says + `"propertys", so nothing reads it | Did you mean "properties"?`}},
		{"{properties: {a: {type: string, maxlength: 5}, require: {typ: string}}}", []string{
			`warning: 2:41: schema.properties.a` + says + `"maxlength", so nothing reads it | Did you mean "maxLength" or "minLength"?`,
			`warning: 2:66: schema.properties.require` + says + `"typ", so nothing reads it | Did you mean "type"?`}},
		{"{$defs: {a: {requried: [b]}}, items: [{enums: [1]}], anyOf: [{titel: a}, {if: {additional_properties: false}}]}", []string{
			`warning: 2:22: schema.$defs.a` + says + `"requried", so nothing reads it | Did you mean "required"?`,
			`warning: 2:48: schema.items.0` + says + `"enums", so nothing reads it | Did you mean "enum"?`,
			`warning: 2:71: schema.anyOf.0` + says + `"titel", so nothing reads it | Did you mean "title"?`,
			`warning: 2:88: schema.anyOf.1.if` + says + `"additional_properties", so nothing reads it | Did you mean "additionalProperties"?`}},
		{"{x-type: a, title_de: b, default_unit: c, required_if: d, unit: EUR, order: 1, example: {typ: 1}, const: {typ: 1}, default: {enums: 1}, examples: [{typ: 1}]}", nil},
		{"{$ref: '#/definition/a', definition: {a: {}}}", nil},
	} {
		require.Equal(t, c.want, lines(t, parse(t, schemaOf(c.schema)).Warnings), c.schema)
	}
	// An environment that shares the schema does not say it again.
	require.Len(t, parse(t, schemaOf("{propertys: {}}")+"environments: {test: {}, production: {schema: {titel: a}}}\n").Warnings, 2)
}
