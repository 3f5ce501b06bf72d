package sqlsession

import "strings"

// scanner reads SQL as PostgreSQL's lexer does, as far as is needed to find the
// end of each statement and its words.
type scanner struct {
	text string
	at   int
}

// statement returns the words of the next statement, where it ends, and whether
// a semicolon follows it.
func (s *scanner) statement() (words []word, end int, more bool) {
	depth := 0 // BEGIN ATOMIC bodies of SQL functions hold semicolons
	for s.at < len(s.text) {
		c := s.text[s.at]
		switch {
		case c == ';':
			if depth > 0 {
				s.at++
				continue
			}
			end = s.at
			s.at++
			return words, end, true
		case c == '\'':
			s.quoted('\'', s.escapes())
		case c == '"':
			at := s.at
			s.quoted('"', false)
			if len(words) < maxWords {
				inner := s.text[at+1 : max(at+1, s.at-1)]
				words = append(words, word{text: strings.ReplaceAll(inner, `""`, `"`), at: at, quoted: true})
			}
		case c == '-' && s.follows('-'):
			s.line()
		case c == '/' && s.follows('*'):
			s.comment()
		case c == '$':
			s.dollar()
		case isLetter(c):
			at := s.at
			for s.at < len(s.text) && isWord(s.text[s.at]) {
				s.at++
			}
			w := word{text: strings.ToUpper(s.text[at:s.at]), at: at}
			depth = atomicBody(depth, words, w.text)
			if len(words) < maxWords || words[0].text == "COPY" { // its direction comes last
				words = append(words, w)
			}
		case isDigit(c):
			for s.at < len(s.text) && (isWord(s.text[s.at]) || s.text[s.at] == '.') {
				s.at++
			}
		default:
			s.at++
		}
	}
	return words, len(s.text), false
}

// atomicBody returns the depth in CREATE FUNCTION ... BEGIN ATOMIC ...; END after
// the word text. A CASE in it has an END of its own.
func atomicBody(depth int, before []word, text string) int {
	switch {
	case text == "ATOMIC" && len(before) > 1 && before[0].text == "CREATE" && before[len(before)-1].text == "BEGIN":
		return depth + 1
	case depth > 0 && text == "CASE":
		return depth + 1
	case depth > 0 && text == "END":
		return depth - 1
	}
	return depth
}

func (s *scanner) follows(c byte) bool { return s.at+1 < len(s.text) && s.text[s.at+1] == c }

// escapes reports whether the string that begins here is an E'...' one.
func (s *scanner) escapes() bool {
	if s.at == 0 || s.text[s.at-1]|0x20 != 'e' {
		return false
	}
	return s.at == 1 || !isWord(s.text[s.at-2])
}

func (s *scanner) quoted(q byte, escapes bool) {
	for s.at++; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; {
		case c == '\\' && escapes:
			s.at++
		case c == q && s.follows(q):
			s.at++
		case c == q:
			s.at++
			return
		}
	}
	s.at = len(s.text)
}

func (s *scanner) line() {
	if end := strings.IndexAny(s.text[s.at:], "\n\r"); end >= 0 {
		s.at += end
		return
	}
	s.at = len(s.text)
}

func (s *scanner) comment() {
	depth := 0
	for s.at < len(s.text) {
		switch {
		case s.text[s.at] == '/' && s.follows('*'):
			depth++
			s.at += 2
		case s.text[s.at] == '*' && s.follows('/'):
			depth--
			s.at += 2
			if depth == 0 {
				return
			}
		default:
			s.at++
		}
	}
}

// dollar skips $tag$ ... $tag$, or the $ of a parameter.
func (s *scanner) dollar() {
	rest := s.text[s.at:]
	end := 1
	for end < len(rest) && isWord(rest[end]) && rest[end] != '$' && (end > 1 || !isDigit(rest[end])) {
		end++
	}
	if end == len(rest) || rest[end] != '$' {
		s.at++
		return
	}
	tag := rest[:end+1]
	if close := strings.Index(rest[end+1:], tag); close >= 0 {
		s.at += end + 1 + close + len(tag)
		return
	}
	s.at = len(s.text)
}

func isLetter(c byte) bool { return c >= 0x80 || c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isWord(c byte) bool   { return isLetter(c) || isDigit(c) || c == '$' }
