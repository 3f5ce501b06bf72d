package templates

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tasker-rb/tasker-rb/internal/nearest"
	"github.com/tasker-rb/tasker-rb/templates/internal/tree"
)

// What the keywords of a schema hold, in all drafts from 4 to 2020-12.
var (
	holdSchemas     = strings.Fields("additionalItems additionalProperties contains contentSchema else if items not propertyNames then unevaluatedItems unevaluatedProperties")
	holdLists       = strings.Fields("allOf anyOf items oneOf prefixItems")
	holdNames       = strings.Fields("$defs definitions dependencies dependentSchemas patternProperties properties")
	holdOtherValues = strings.Fields(`$anchor $comment $dynamicAnchor $dynamicRef $id $recursiveAnchor $recursiveRef $ref $schema $vocabulary
		const contentEncoding contentMediaType default dependentRequired deprecated description enum examples exclusiveMaximum exclusiveMinimum format
		id maxContains maxItems maxLength maxProperties maximum minContains minItems minLength minProperties minimum multipleOf pattern
		readOnly required title type uniqueItems writeOnly`)
	schemaKeywords = slices.Concat(holdSchemas, holdLists, holdNames, holdOtherValues)
	// People write these beside the keywords, and mean them.
	meantKeywords = strings.Fields("example note notes")
)

// maxKeywordGuesses is how many unknown keywords of a file are compared with the known ones.
const maxKeywordGuesses = 200

// unknownKeywords warns of keywords that are nearly those of JSON Schema. Nothing reads
// them. Others may be annotations, which JSON Schema allows.
func (b *builder) unknownKeywords(m tree.Member) {
	search := keywordSearch{b: b, guesses: make(map[string]string)}
	search.findReferences(m.Value)
	search.schema(m.Value, m.Key)
}

type keywordSearch struct {
	b *builder
	// guesses has what each unknown keyword may be meant to be.
	guesses map[string]string
	// references are the texts of $ref. They may lead to schemas at any place.
	references []string
}

func (k *keywordSearch) findReferences(n *tree.Node) {
	for _, item := range n.Items {
		k.findReferences(item)
	}
	for _, m := range n.Members {
		if m.Key == "$ref" && m.Value.Kind == tree.String {
			k.references = append(k.references, m.Value.Text)
		}
		k.findReferences(m.Value)
	}
}

// schema looks at the keywords of a schema, and of those in it. where is its place in words.
func (k *keywordSearch) schema(n *tree.Node, where string) {
	for _, m := range n.Members {
		at := where + "." + m.Key
		switch {
		case !slices.Contains(schemaKeywords, m.Key):
			k.unknown(m, where)
		case slices.Contains(holdNames, m.Key):
			for _, named := range m.Value.Members {
				k.schema(named.Value, at+"."+named.Key)
			}
		case slices.Contains(holdLists, m.Key) && m.Value.Kind == tree.Array:
			for i, item := range m.Value.Items {
				k.schema(item, fmt.Sprintf("%s.%d", at, i))
			}
		case slices.Contains(holdSchemas, m.Key):
			k.schema(m.Value, at)
		}
	}
}

func (k *keywordSearch) unknown(m tree.Member, where string) {
	if strings.HasPrefix(m.Key, "x-") || slices.Contains(meantKeywords, m.Key) || k.isReferenced(m.Key) {
		return
	}
	hint, guessed := k.guesses[m.Key]
	if !guessed && len(k.guesses) < maxKeywordGuesses {
		if meant := nearKeywords(m.Key); len(meant) > 0 {
			hint = "Did you mean " + nearest.Or(meant) + "?"
		}
		k.guesses[m.Key] = hint
	}
	if hint != "" {
		k.b.problems.add(Problem{
			File: k.b.problems.file, Warning: true, Line: m.Line, Column: m.Column,
			Message: fmt.Sprintf("%s: JSON Schema has no keyword %q, so nothing reads it", tree.Shorten(where), tree.Shorten(m.Key)), Hint: hint,
		})
	}
}

// nearKeywords returns the keywords that a name may be a misspelling of. A longer name that
// begins with a keyword, such as title_de, is none.
func nearKeywords(name string) []string {
	return slices.DeleteFunc(nearest.Names(name, schemaKeywords), func(keyword string) bool {
		longer := len(name) - len(keyword)
		return max(longer, -longer) > max(1, len(name)/4)
	})
}

func (k *keywordSearch) isReferenced(key string) bool {
	return slices.ContainsFunc(k.references, func(reference string) bool {
		return slices.Contains(fragmentPath(reference), key)
	})
}
