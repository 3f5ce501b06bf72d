package testbed

import (
	"slices"
	"strings"
)

// sqlWord is a word of an SQL text, or a character that is neither a part of a word nor a
// blank. Literals are empty words; comments are left out.
type sqlWord struct {
	text   string // in lower case unless quoted
	quoted bool
}

func (w sqlWord) is(text string) bool { return !w.quoted && w.text == text }

// sqlWords splits a text well enough to find names in it. It is no parser: what it gets
// wrong costs a warning.
func sqlWords(sql string) (words []sqlWord) {
	for i := 0; i < len(sql); {
		rest := sql[i:]
		switch c := sql[i]; {
		case strings.HasPrefix(rest, "--"):
			i += lengthTo(rest, "\n", 2)
		case strings.HasPrefix(rest, "/*"):
			i += commentLength(rest)
		case c == '\'':
			escapes := len(words) > 0 && words[len(words)-1].is("e") && i > 0 && (sql[i-1] == 'e' || sql[i-1] == 'E')
			i += quotedLength(rest, escapes)
			words = append(words, sqlWord{quoted: true})
		case c == '"':
			n := quotedLength(rest, false)
			words = append(words, sqlWord{text: strings.ReplaceAll(strings.TrimSuffix(rest[1:n], `"`), `""`, `"`), quoted: true})
			i += n
		case c == '$' && dollarTag(rest) != "":
			tag := dollarTag(rest)
			i += lengthTo(rest, tag, len(tag))
			words = append(words, sqlWord{quoted: true})
		case isWord(c):
			n := 1
			for n < len(rest) && (isWord(rest[n]) || rest[n] == '$') {
				n++
			}
			words = append(words, sqlWord{text: strings.ToLower(rest[:n])})
			i += n
		case c <= ' ':
			i++
		default:
			words = append(words, sqlWord{text: string(c)})
			i++
		}
	}
	return words
}

func isWord(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c >= 0x80
}

// lengthTo is how far it is to the end of the next end, after from.
func lengthTo(s, end string, from int) int {
	if n := strings.Index(s[from:], end); n >= 0 {
		return from + n + len(end)
	}
	return len(s)
}

// commentLength is the length of a comment, which may hold others.
func commentLength(s string) int {
	depth := 0
	for i := 0; i+1 < len(s); i++ {
		switch s[i : i+2] {
		case "/*":
			depth++
			i++
		case "*/":
			i++
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(s)
}

// quotedLength is the length of what begins with a quote. A doubled quote does not end it.
func quotedLength(s string, escapes bool) int {
	for i := 1; i < len(s); i++ {
		switch {
		case escapes && s[i] == '\\':
			i++
		case s[i] == s[0] && i+1 < len(s) && s[i+1] == s[0]:
			i++
		case s[i] == s[0]:
			return i + 1
		}
	}
	return len(s)
}

// dollarTag returns the tag that begins a literal such as $$text$$; empty if none does.
func dollarTag(s string) string {
	n := 1
	for n < len(s) && isWord(s[n]) {
		n++
	}
	if n == len(s) || s[n] != '$' || n > 1 && '0' <= s[1] && s[1] <= '9' {
		return ""
	}
	return s[:n+1]
}

// otherClocks returns what reads the real time, each once.
func otherClocks(words []sqlWord) (names []string) {
	for i, w := range words {
		called := i+1 < len(words) && words[i+1].is("(")
		name := ""
		switch {
		case w.quoted:
		case slices.Contains([]string{"current_timestamp", "localtimestamp", "current_date", "current_time", "localtime"}, w.text):
			name = w.text
		case called && slices.Contains([]string{"clock_timestamp", "statement_timestamp", "transaction_timestamp", "timeofday"}, w.text):
			name = w.text + "()"
		case called && w.text == "now" && i > 1 && words[i-1].is(".") && words[i-2].text == "pg_catalog":
			name = "pg_catalog.now()"
		}
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// insertion is an INSERT, or a COPY.
type insertion struct {
	schema, table string   // schema is empty if it is not named
	columns       []string // nil: not named
}

// insertions finds them in a text.
func insertions(words []sqlWord) (found []insertion) {
	for i := range words {
		switch {
		case words[i].is("into") && i > 0 && words[i-1].is("insert"):
			if in, ok := insertionAt(words[i+1:]); ok {
				found = append(found, in)
			}
		case words[i].is("copy") && i == 0:
			if in, ok := insertionAt(words[1:]); ok && slices.ContainsFunc(words, func(w sqlWord) bool { return w.is("stdin") }) {
				found = append(found, in)
			}
		}
	}
	return found
}

func insertionAt(words []sqlWord) (in insertion, ok bool) {
	if len(words) == 0 {
		return in, false
	}
	in.table, words = words[0].text, words[1:]
	if len(words) > 1 && words[0].is(".") {
		in.schema, in.table, words = in.table, words[1].text, words[2:]
	}
	if len(words) > 1 && words[0].is("as") {
		words = words[2:]
	}
	if len(words) < 2 || !words[0].is("(") || words[1].is("select") || words[1].is("with") {
		return in, true
	}
	in.columns = []string{}
	for _, w := range words[1:] {
		if w.is(")") {
			break
		}
		if !w.is(",") {
			in.columns = append(in.columns, w.text)
		}
	}
	return in, true
}

// leaves reports whether the column gets its default. If the columns are not named, it may.
func (in insertion) leaves(d clockDefault) bool {
	return in.table == d.table && (in.schema == "" || in.schema == d.schema) && !slices.Contains(in.columns, d.column)
}
