package templates

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/tasker-rb/tasker-rb/templates/internal/tree"
)

// constantPattern matches a path of Ruby constants. In Ruby a constant begins
// with an upper-case letter of any script.
var constantPattern = regexp.MustCompile(`^(?:::)?[\p{Lu}\p{Lt}][\p{L}\p{Mn}\p{Nd}_]*(?:::[\p{Lu}\p{Lt}][\p{L}\p{Mn}\p{Nd}_]*)*$`)

// registeredPattern matches the name that a handler is registered with. It begins
// with a lower-case letter, so no constant path matches.
var registeredPattern = regexp.MustCompile(`^[a-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*$`)

// methodPattern matches the name of a Ruby method that a handler may have.
var methodPattern = regexp.MustCompile(`^[a-z_][A-Za-z0-9_]*[?!]?$`)

// handlerName reads the handler of a step: the name of a Ruby class, or the name
// that a handler is registered with.
func (b *builder) handlerName(m tree.Member, s *Step) {
	s.HandlerPosition = b.problems.position(m.Value.Line, m.Value.Column)
	if m.Value.Kind == tree.String && isRegistered(m.Value.Text) {
		s.HandlerClass = m.Value.Text
		return
	}
	s.HandlerClass = b.constant(m)
}

// handlerMethod reads the method of a step's handler, once its name is read.
func (b *builder) handlerMethod(m *tree.Member, s *Step) {
	if m != nil {
		s.HandlerMethod = b.methodName(*m)
	}
	if s.HandlerClass != "" && (m == nil || s.HandlerMethod != "") {
		b.readable = append(b.readable, s)
	}
}

// isRegistered reports whether a handler may be registered with the name.
func isRegistered(text string) bool {
	return registeredPattern.MatchString(text) && len(text) <= maxNameRunes && !strings.HasSuffix(text, ".rb")
}

// isHandlerName reports whether handlerName accepts the text.
func isHandlerName(text string) bool {
	return isRegistered(text) || isConstant(text)
}

func isConstant(text string) bool {
	return constantPattern.MatchString(text) && len([]rune(text)) <= maxNameRunes
}

// methodName reads the name of a method.
func (b *builder) methodName(m tree.Member) string {
	const hint = "Write the name of a public method of the handler, such as call."
	text, ok := b.textThat(m, methodPattern.MatchString, hint)
	switch {
	case !ok:
		return ""
	case !methodPattern.MatchString(text) || len(text) > maxNameRunes:
		b.problems.at(m.Value, hint, "%s %q is not the name of a Ruby method", m.Key, tree.Shorten(text))
		return ""
	}
	return text
}

// constant reads the name of a Ruby class or module. It returns the name
// without a leading "::".
func (b *builder) constant(m tree.Member) string {
	const example = "Write the name of a Ruby class, such as Orders::ValidateOrder."
	text, ok := b.textThat(m, isConstant, example)
	switch {
	case !ok:
		return ""
	case text == "":
		b.problems.at(m.Value, example, "%s is empty", m.Key)
		return ""
	case !isConstant(text):
		hint := "Write a constant path, such as Orders::ValidateOrder."
		if camel := camelize(text); constantPattern.MatchString(camel) {
			hint = "Did you mean " + strconv.Quote(tree.Shorten(camel)) + "?"
		}
		b.problems.at(m.Value, hint, "%s %q is not the name of a Ruby class", m.Key, tree.Shorten(text))
		return ""
	}
	return strings.TrimPrefix(text, "::")
}

// camelize turns a file name (orders/validate_order.rb), or a name with the
// separators of another language, into the name of a Ruby constant.
func camelize(text string) string {
	text = strings.TrimSuffix(strings.TrimSpace(text), ".rb")
	parts := strings.FieldsFunc(text, func(r rune) bool { return r == ':' || r == '/' || r == '.' })
	for i, part := range parts {
		words := strings.FieldsFunc(part, func(r rune) bool { return r == '_' || r == '-' || r == ' ' })
		for j, word := range words {
			runes := []rune(word)
			words[j] = string(unicode.ToUpper(runes[0])) + string(runes[1:])
		}
		parts[i] = strings.Join(words, "")
	}
	return strings.Join(parts, "::")
}
