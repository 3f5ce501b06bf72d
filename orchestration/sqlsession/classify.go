package sqlsession

import (
	"regexp"
	"strings"
	"sync"
)

// kind says what a statement does to the transaction or to the connection.
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
	lingers        // leaves something on the connection: PREPARE, a temporary table, ...
	listens        // LISTEN, UNLISTEN
	copiesIn       // COPY ... FROM STDIN
	copiesOut      // COPY ... TO STDOUT
)

// part is one of the statements of a text.
type part struct {
	kind kind
	name string // of the savepoint
	verb string // for messages: "COMMIT"
	// at is where SET begins in the text, and rest where it goes on after SET [SESSION].
	at, rest int
	// touches says that the statement may change one of the engine's settings.
	touches bool
}

// changesSchema reports whether the statement may change what a prepared text
// means on other connections. A temporary table does not: only its own connection
// sees it, and that one is closed.
func (p *part) changesSchema() bool {
	switch p.verb {
	case "ALTER", "DROP":
		return true
	case "CREATE":
		return p.kind != lingers
	}
	return false
}

// known holds the texts that were classified lately; texts with parameters come
// again and again. Its slices are never changed.
var known struct {
	sync.RWMutex
	texts map[string][]part
}

const (
	maxKnown     = 256
	maxKnownText = 4 << 10
)

// classified returns the statements of a text, and remembers them for the next
// time.
func classified(sql string) []part {
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
			known.texts = make(map[string][]part, maxKnown)
		}
		known.texts[sql] = all
		known.Unlock()
	}
	return all
}

// classify splits a text into its statements as the server does. It leaves empty
// ones out.
func classify(sql string) []part {
	s := scanner{text: sql}
	var all []part
	for {
		words, rest, more := s.statement()
		if len(words) > 0 {
			p := kindOf(words, rest, sql)
			p.touches = touching(&p, words, sql[words[0].at:rest])
			all = append(all, p)
		}
		if !more {
			return all
		}
	}
}

// word is a bare word or a quoted identifier.
type word struct {
	text   string // bare words in upper case, quoted ones unchanged
	at     int    // where it begins in the text
	quoted bool
}

// maxWords is how many words of a statement are kept to find its kind.
const maxWords = 64

// kindOf finds the kind of a statement with these words, which ends at semicolon.
func kindOf(w []word, semicolon int, sql string) part {
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
	p := part{verb: w[0].text}
	if w[0].quoted {
		return part{}
	}
	switch w[0].text {
	case "BEGIN":
		p.kind = begins
	case "START":
		if is(1, "TRANSACTION") {
			p.kind, p.verb = begins, "START TRANSACTION"
		}
	case "COMMIT", "END":
		p.kind = commits
	case "ABORT":
		p.kind = rollsBack
	case "ROLLBACK":
		at := 1
		if is(at, "WORK", "TRANSACTION") {
			at++
		}
		if !is(at, "TO") {
			p.kind = rollsBack
			break
		}
		at++
		if is(at, "SAVEPOINT") && at+1 < len(w) {
			at++
		}
		p.kind, p.verb, p.name = returns, "ROLLBACK TO SAVEPOINT", nameAt(w, at)
	case "SAVEPOINT":
		p.kind, p.name = saves, nameAt(w, 1)
	case "RELEASE":
		at := 1
		if is(at, "SAVEPOINT") && at+1 < len(w) {
			at++
		}
		p.kind, p.verb, p.name = releases, "RELEASE SAVEPOINT", nameAt(w, at)
	case "PREPARE":
		if is(1, "TRANSACTION") {
			p.kind, p.verb = commits, "PREPARE TRANSACTION"
		} else {
			p.kind = lingers
		}
	case "SET":
		if is(1, "SESSION") && is(2, "CHARACTERISTICS") {
			p.kind = lingers // there is no SET LOCAL of it
			break
		}
		if is(1, "LOCAL", "TRANSACTION", "CONSTRAINTS") {
			break
		}
		at := 1
		if is(1, "SESSION") && !is(2, "AUTHORIZATION") {
			at = 2
		}
		if at < len(w) {
			p.kind, p.at, p.rest = sets, w[0].at, w[at].at
		}
	case "RESET", "DISCARD":
		p.kind = resets
	case "LISTEN", "UNLISTEN":
		p.kind = listens
	case "DECLARE":
		if has("HOLD") && !has("WITHOUT") {
			p.kind = lingers
		}
	case "LOAD", "DEALLOCATE":
		p.kind = lingers
	case "CREATE":
		if is(1, "TEMP", "TEMPORARY", "LOCAL", "GLOBAL", "OR") && (has("TEMP") || has("TEMPORARY")) && !has("DROP") {
			p.kind = lingers // without ON COMMIT DROP
		}
	case "COPY":
		switch {
		case has("STDIN"):
			p.kind = copiesIn
		case has("STDOUT"):
			p.kind = copiesOut
		}
	case "DO":
		if lingering(sql[w[0].at:semicolon]) || setsInBlock.MatchString(sql[w[0].at:semicolon]) {
			p.kind = lingers
		}
	case "INSERT", "UPDATE", "DELETE", "MERGE":
		if lingering(sql[w[0].at:semicolon]) {
			p.kind = lingers
		}
	case "SELECT", "WITH", "VALUES", "CALL", "EXECUTE", "TABLE":
		if has("INTO") && (has("TEMP") || has("TEMPORARY")) || lingering(sql[w[0].at:semicolon]) {
			p.kind = lingers
		}
	}
	return p
}

// lingering reports whether a query calls a function of PostgreSQL's that leaves
// something on the connection. A function of the user's may do so too; that
// cannot be seen here.
func lingering(sql string) bool {
	return containsFold(sql, "pg_advisory_lock") || containsFold(sql, "pg_settings") && updateSettings.MatchString(sql) || containsFold(sql, "pg_try_advisory_lock") ||
		containsFold(sql, "set_config") && len(setConfig.FindAllString(sql, -1)) > len(setConfigLocal.FindAllString(sql, -1))
}

var (
	// A rule turns this into set_config(name, setting, false).
	updateSettings = regexp.MustCompile(`(?i)\bupdate\s[^;]*\bpg_settings\b`)
	setConfig      = regexp.MustCompile(`(?i)\bset_config\b`)
	setConfigLocal = regexp.MustCompile(`(?i)\bset_config\s*\([^()]*,\s*(true|'t'|'true')\s*\)`)
)

// setsInBlock finds SET and RESET where a statement can begin in a block of
// PL/pgSQL, but not the SET of an UPDATE.
var setsInBlock = regexp.MustCompile(`(?i)(?:[;$']|\b(?:begin|then|else|loop))\s*(?:reset\s|set\s+(?:[^l\s]|l[^o\s]))`)

// touching reports whether a statement may change one of the engine's settings.
// What a function of the user's does cannot be seen here.
func touching(p *part, w []word, sql string) bool {
	switch p.verb {
	case "SET":
		return len(w) < 2 || w[1].text != "TRANSACTION" && w[1].text != "CONSTRAINTS" || w[1].quoted
	case "RESET", "DISCARD", "DO", "CALL", "EXECUTE":
		return true
	case "SELECT", "WITH", "VALUES", "TABLE", "INSERT", "UPDATE", "DELETE", "MERGE", "COPY", "EXPLAIN", "DECLARE", "CREATE":
		return containsFold(sql, "set_config") || containsFold(sql, "pg_settings") && updateSettings.MatchString(sql)
	case "FETCH", "MOVE", "CLOSE", "ALTER", "DROP", "TRUNCATE", "LOCK", "COMMENT", "GRANT", "REVOKE", "ANALYZE", "REINDEX",
		"REFRESH", "NOTIFY", "LISTEN", "UNLISTEN", "PREPARE", "DEALLOCATE", "SAVEPOINT", "RELEASE SAVEPOINT",
		"ROLLBACK TO SAVEPOINT":
		return false
	}
	return true
}

func containsFold(s, sub string) bool {
	for i := 0; i+len(sub) <= len(s); i++ {
		if s[i]|0x20 == sub[0] && strings.EqualFold(s[i:i+len(sub)], sub) {
			return true
		}
	}
	return false
}

// nameAt returns the identifier at word i as PostgreSQL reads it.
func nameAt(w []word, i int) string {
	if i >= len(w) {
		return ""
	}
	if w[i].quoted {
		return w[i].text
	}
	return strings.ToLower(w[i].text)
}
