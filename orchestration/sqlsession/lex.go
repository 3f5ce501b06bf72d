package sqlsession

import (
	"regexp"
	"strings"
	"sync"
)

// kind is what a statement does to the transaction or the session around it.
type kind uint8

const (
	other     kind = iota
	begins         // BEGIN, START TRANSACTION
	commits        // COMMIT, END, PREPARE TRANSACTION, COMMIT PREPARED
	rollsBack      // ROLLBACK, ABORT, ROLLBACK PREPARED
	saves          // SAVEPOINT name
	releases       // RELEASE [SAVEPOINT] name
	returns        // ROLLBACK TO [SAVEPOINT] name
	sets           // SET [SESSION] name, and not SET LOCAL
	resets         // RESET, DISCARD
	lingers        // leaves something on the connection: LISTEN, PREPARE, a temporary table, ...
	listens        // LISTEN, UNLISTEN
	copiesIn       // COPY ... FROM STDIN
	copiesOut      // COPY ... TO STDOUT
)

// statement is one of the statements of a text.
type statement struct {
	kind kind
	name string // of the savepoint
	verb string // as the user is told: "COMMIT"
	// rest is where in the text what follows SET [SESSION] begins.
	rest int
}

// changesSchema reports whether the statement may give a text another meaning
// for others; a temporary table is its connection's, which is closed.
func (st *statement) changesSchema() bool {
	switch st.verb {
	case "ALTER", "DROP":
		return true
	case "CREATE":
		return st.kind != lingers
	}
	return false
}

// known has the texts that were classified last: those with parameters come
// again and again. What is in it is never changed.
var known struct {
	sync.RWMutex
	texts map[string][]statement
}

const (
	maxKnown     = 256
	maxKnownText = 4 << 10
)

// classified is classify, for a text that may have come before.
func classified(sql string) []statement {
	known.RLock()
	all, ok := known.texts[sql]
	known.RUnlock()
	if ok {
		return all
	}
	all = classify(sql)
	if len(sql) <= maxKnownText {
		known.Lock()
		if known.texts == nil || len(known.texts) >= maxKnown {
			known.texts = make(map[string][]statement, maxKnown)
		}
		known.texts[sql] = all
		known.Unlock()
	}
	return all
}

// classify splits a text into its statements as the server does. Empty ones
// are not reported.
func classify(sql string) []statement {
	s := scanner{text: sql}
	var all []statement
	for {
		words, rest, more := s.statement()
		if len(words) > 0 {
			all = append(all, kindOf(words, rest, sql))
		}
		if !more {
			return all
		}
	}
}

// word is a token that may matter: a bare word in capitals, or an identifier.
type word struct {
	text   string // bare words in upper case, quoted ones as they are
	at     int    // where it begins in the text
	quoted bool
}

// maxWords is how much of a statement is kept to tell its kind.
const maxWords = 64

func kindOf(w []word, semicolon int, sql string) statement {
	is := func(i int, options ...string) bool {
		if i >= len(w) || w[i].quoted {
			return false
		}
		for _, o := range options {
			if w[i].text == o {
				return true
			}
		}
		return false
	}
	has := func(option string) bool {
		for i := range w {
			if is(i, option) {
				return true
			}
		}
		return false
	}
	st := statement{verb: w[0].text}
	if w[0].quoted {
		return statement{}
	}
	switch w[0].text {
	case "BEGIN":
		st.kind = begins
	case "START":
		if is(1, "TRANSACTION") {
			st.kind, st.verb = begins, "START TRANSACTION"
		}
	case "COMMIT", "END":
		st.kind = commits
	case "ABORT":
		st.kind = rollsBack
	case "ROLLBACK":
		at := 1
		if is(at, "WORK", "TRANSACTION") {
			at++
		}
		if !is(at, "TO") {
			st.kind = rollsBack
			break
		}
		at++
		if is(at, "SAVEPOINT") && at+1 < len(w) {
			at++
		}
		st.kind, st.verb, st.name = returns, "ROLLBACK TO SAVEPOINT", nameAt(w, at)
	case "SAVEPOINT":
		st.kind, st.name = saves, nameAt(w, 1)
	case "RELEASE":
		at := 1
		if is(at, "SAVEPOINT") && at+1 < len(w) {
			at++
		}
		st.kind, st.verb, st.name = releases, "RELEASE SAVEPOINT", nameAt(w, at)
	case "PREPARE":
		if is(1, "TRANSACTION") {
			st.kind, st.verb = commits, "PREPARE TRANSACTION"
		} else {
			st.kind = lingers
		}
	case "SET":
		if is(1, "LOCAL", "TRANSACTION", "CONSTRAINTS") || is(1, "SESSION") && is(2, "CHARACTERISTICS") {
			break
		}
		at := 1
		if is(1, "SESSION") && !is(2, "AUTHORIZATION") {
			at = 2
		}
		if at < len(w) {
			st.kind, st.rest = sets, w[at].at
		}
	case "RESET", "DISCARD":
		st.kind = resets
	case "LISTEN", "UNLISTEN":
		st.kind = listens
	case "DECLARE":
		if has("HOLD") && !has("WITHOUT") {
			st.kind = lingers
		}
	case "LOAD", "DEALLOCATE":
		st.kind = lingers
	case "CREATE":
		if is(1, "TEMP", "TEMPORARY", "LOCAL", "GLOBAL", "OR") && (has("TEMP") || has("TEMPORARY")) && !has("DROP") {
			st.kind = lingers // without ON COMMIT DROP
		}
	case "COPY":
		switch {
		case has("STDIN"):
			st.kind = copiesIn
		case has("STDOUT"):
			st.kind = copiesOut
		}
	case "SELECT", "WITH", "VALUES", "DO", "CALL", "EXECUTE", "TABLE":
		if has("INTO") && (has("TEMP") || has("TEMPORARY")) || lingering(sql[w[0].at:semicolon]) {
			st.kind = lingers
		}
	}
	return st
}

// lingering finds the calls of a query that leave something on the connection.
// A function of the user's may do so too, and nobody can know.
func lingering(sql string) bool {
	return containsFold(sql, "pg_advisory_lock") || containsFold(sql, "pg_try_advisory_lock") ||
		containsFold(sql, "set_config") && len(setConfig.FindAllString(sql, -1)) > len(setConfigLocal.FindAllString(sql, -1))
}

var (
	setConfig      = regexp.MustCompile(`(?i)\bset_config\b`)
	setConfigLocal = regexp.MustCompile(`(?i)\bset_config\s*\([^()]*,\s*(true|'t'|'true')\s*\)`)
)

func containsFold(s, part string) bool {
	for i := 0; i+len(part) <= len(s); i++ {
		if s[i]|0x20 == part[0] && strings.EqualFold(s[i:i+len(part)], part) {
			return true
		}
	}
	return false
}

func nameAt(w []word, i int) string {
	if i >= len(w) {
		return ""
	}
	if w[i].quoted {
		return w[i].text
	}
	return strings.ToLower(w[i].text)
}

// scanner reads SQL as PostgreSQL's own lexer does, as far as it takes to know
// where statements end and what their words are.
type scanner struct {
	text string
	at   int
}

// statement returns the words of the next statement and where it ends, and
// whether a semicolon followed.
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

// atomicBody follows CREATE FUNCTION ... BEGIN ATOMIC ...; END, in which CASE
// has an END of its own.
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
