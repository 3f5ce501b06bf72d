package sqlsession

import (
	"context"
	"math"
	"slices"
	"strings"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// Statement is one text to run, with its parameters. A text without parameters
// may hold several statements; the result is that of the last one.
type Statement struct {
	SQL     string
	Params  [][]byte // a nil element is NULL
	Formats []int16  // of Params: 0 text, 1 binary; nil for all text
	Types   []uint32 // of Params; 0 leaves it to the server; nil for all of them
	Binary  bool     // wants the values of the result in binary
	Single  bool     // refuses a text of several statements, also without Params

	// JSON is what to send instead of a parameter whose type is json or jsonb;
	// nil, or as long as Params with nil for those that have no such form.
	JSON [][]byte

	// Owner tells the threads of a step apart.
	Owner uint64
	// Settings are to be in force while the statement runs.
	Settings *Settings
}

// Settings are what a logical connection wants SET, in force only while its
// own statements run and never longer than a transaction. They are compared by
// address and must not change.
type Settings struct {
	Set []Setting
}

// Setting is the text of a SET statement behind SET [SESSION].
type Setting struct {
	Name string
	Text string // "search_path TO app, public"
}

// Result is what came of a statement, with the values of its rows one after
// the other, row by row.
type Result struct {
	Fields []pgconn.FieldDescription
	Rows   int
	Values []byte
	// Ends is where each value ends in Values; for NULL the complement of that.
	Ends   []int32
	Tag    string
	Status byte // of the transaction: I, T or E
	Copy   byte // I: the text wants data (see CopyIn); O: the rows are copied lines
	Ended  []Ended
}

// Exec runs a statement. The error is an [*Error].
func (s *Session) Exec(ctx context.Context, st *Statement) (*Result, error) {
	return s.run(ctx, st, func(parts []statement, sql string) (*Result, error) {
		switch {
		case len(parts) == 1 && parts[0].kind == copiesIn:
			return &Result{Copy: 'I'}, nil
		case len(parts) == 1 && parts[0].kind == copiesOut:
			return s.copyOut(ctx, st, parts, sql)
		case len(parts) > 1 && !st.Single && len(st.Params) == 0:
			return s.simple(ctx, st, parts, sql)
		default:
			return s.extended(ctx, st, parts, sql)
		}
	})
}

// run keeps the rules around what carries the statement out.
func (s *Session) run(ctx context.Context, st *Statement, do func(parts []statement, sql string) (*Result, error)) (*Result, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	parts := classified(st.SQL)
	if err := s.admit(parts, st); err != nil {
		return nil, err
	}
	result, ended, failure := s.attempt(ctx, parts, st, do)
	for try := 0; failure != nil && failure.SQLState == stateConnectionLost && s.fresh() && try < maxTries; try++ {
		// The pool's connection was dead. Nothing was committed: again, on another.
		s.release(ctx)
		result, ended, failure = s.attempt(ctx, parts, st, do)
	}
	if result != nil {
		result.Ended = ended
		if s.conn != nil {
			result.Status = s.conn.status()
		} else {
			result.Status = idle
		}
	}
	s.rest(ctx)
	if failure != nil {
		return nil, failure
	}
	return result, nil
}

// maxTries is how many dead connections of the pool a first statement may meet.
const maxTries = 3

// fresh reports whether a step's first statement has not succeeded yet.
func (s *Session) fresh() bool { return s.step && !s.begun && s.conn != nil }

func (s *Session) attempt(ctx context.Context, parts []statement, st *Statement, do func([]statement, string) (*Result, error)) (*Result, []Ended, *Error) {
	if err := s.connect(ctx); err != nil {
		return nil, nil, describe(err, true)
	}
	done := s.conn.guard(ctx)
	result, err := do(parts, s.localised(parts, st.SQL))
	if done() && err != nil {
		err = interrupted(ctx)
	}
	ended, failure := s.settle(parts, st, result, err)
	return result, ended, failure
}

// admit refuses what is not a handler's to do.
func (s *Session) admit(parts []statement, st *Statement) error {
	if !s.step {
		return nil
	}
	for i := range parts {
		switch p := &parts[i]; p.kind {
		case begins, commits, rollsBack:
			return refuse(p.verb)
		case listens:
			return refuseListen(p.verb)
		}
	}
	if n := len(s.savepoints); n > 0 && s.savepoints[n-1].owner != st.Owner {
		return errOtherThread
	}
	if s.failed != nil && (len(parts) == 0 || parts[0].kind != returns) {
		return s.failed.again()
	}
	return nil
}

// localised turns SET into SET LOCAL inside a step, so that it ends with it.
func (s *Session) localised(parts []statement, sql string) string {
	if len(parts) == 1 && parts[0].kind == sets && s.step {
		return "set local " + sql[parts[0].rest:]
	}
	return sql
}

// extended runs one statement, and what must precede it, in one round trip.
func (s *Session) extended(ctx context.Context, st *Statement, parts []statement, sql string) (*Result, error) {
	var formats []int16
	if st.Binary {
		formats = []int16{1}
	}
	if !s.step && s.conn.status() == idle && !(len(parts) == 1 && preparable(parts[0].verb)) {
		// Some of these refuse to be sent along with another.
		if err := s.start(ctx, st, parts); err != nil {
			return nil, err
		}
	}
	var prepared *pgconn.StatementDescription
	if st.JSON != nil && !s.conn.may {
		// The unnamed statement must not be replaced by what precedes it.
		if err := s.start(ctx, st, nil); err != nil {
			return nil, err
		}
	}
	// What is prepared before its settings are in force might not find its tables.
	may := st.Settings == nil || st.Settings == s.settings || s.conn.byText[sql] != nil
	if may && len(parts) == 1 && preparable(parts[0].verb) && len(sql) < maxPreparedText || st.JSON != nil {
		var err error
		if prepared, err = s.conn.statementFor(context.Background(), sql, st.Types, st.JSON != nil); err != nil {
			return nil, err
		}
	}
	params := st.Params
	if st.JSON != nil {
		params = asTyped(params, st.JSON, prepared.ParamOIDs)
	}
	pg := s.conn.pg()
	alone := !s.step && s.conn.status() == idle
	before := s.before(ctx, st, parts)
	if len(before) == 0 {
		if prepared != nil {
			return read(pg.ExecStatement(context.Background(), prepared, params, st.Formats, formats))
		}
		if len(params) == 0 && !st.Single && formats == nil && strings.IndexByte(sql, ';') < 0 {
			// Cheaper for the server than in five messages. In these it would
			// refuse several statements, however we had read the text.
			return readLast(pg.Exec(context.Background(), sql))
		}
		return read(pg.ExecParams(context.Background(), sql, params, st.Types, st.Formats, formats))
	}
	var batch pgconn.Batch
	if alone {
		before = append([]string{"begin"}, before...)
	}
	for _, text := range before {
		batch.ExecParams(text, nil, nil, nil, nil)
	}
	if prepared != nil {
		batch.ExecStatement(prepared, params, st.Formats, formats)
	} else {
		batch.ExecParams(sql, params, st.Types, st.Formats, formats)
	}
	if alone {
		batch.ExecParams("commit", nil, nil, nil, nil)
		defer s.abandon(ctx)
	}
	answers := pg.ExecBatch(context.Background(), &batch)
	for range before {
		if !answers.NextResult() {
			return nil, answers.Close()
		}
		if _, err := answers.ResultReader().Close(); err != nil {
			return nil, errors.CombineErrors(err, answers.Close())
		}
		s.begun = true
	}
	if !answers.NextResult() {
		return nil, answers.Close()
	}
	result, err := read(answers.ResultReader())
	if closing := answers.Close(); err == nil {
		err = closing
	}
	return result, err
}

// abandon ends the transaction around a single statement that has failed.
func (s *Session) abandon(ctx context.Context) {
	if s.conn.pg().IsClosed() || s.conn.status() == idle {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), hardStop)
	defer cancel()
	if _, err := s.conn.pg().Exec(ctx, "rollback").ReadAll(); err != nil {
		s.conn.spoiled = true
	}
}

// asTyped chooses between the forms of each parameter.
func asTyped(params, forms [][]byte, types []uint32) [][]byte {
	chosen := slices.Clone(params)
	for i, form := range forms {
		if form != nil && i < len(types) && (types[i] == pgtype.JSONOID || types[i] == pgtype.JSONBOID) {
			chosen[i] = form
		}
	}
	return chosen
}

// maxPreparedText keeps texts of megabytes out of the server's memory.
const maxPreparedText = 16 << 10

func preparable(verb string) bool {
	switch verb {
	case "SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "VALUES", "MERGE":
		return true
	}
	return false
}

// simple runs a text of several statements.
func (s *Session) simple(ctx context.Context, st *Statement, parts []statement, sql string) (*Result, error) {
	if err := s.start(ctx, st, parts); err != nil {
		return nil, err
	}
	return readLast(s.conn.pg().Exec(context.Background(), sql))
}

// start sends what must precede a statement in a round trip of its own.
func (s *Session) start(ctx context.Context, st *Statement, parts []statement) error {
	for _, text := range s.before(ctx, st, parts) {
		if _, err := s.conn.pg().Exec(context.Background(), text).ReadAll(); err != nil {
			return err
		}
		s.begun = true
	}
	return nil
}

// before is the statements that must precede this one: the beginning of the
// transaction, and settings that are not in force yet.
//
// Outside a transaction they are sent in one go with a statement that bears it,
// in a transaction of their own that leaves nothing behind. Others find them
// set on the connection, see rest.
func (s *Session) before(ctx context.Context, st *Statement, parts []statement) []string {
	texts := s.beginning(ctx)
	if st.Settings == s.settings || s.conn.status() == inError { // where nothing but the way back is possible
		return texts
	}
	local, last := "set local ", s.settings
	switch alone := !s.step && s.conn.status() == idle; {
	case alone && len(parts) == 1 && parts[0].kind == begins:
		return texts // they come with the first statement of the transaction
	case alone && len(parts) == 1 && parts[0].kind == other && preparable(parts[0].verb):
	case alone:
		local, s.lasting = "set ", st.Settings
		fallthrough
	default:
		s.settings = st.Settings
	}
	if last != nil {
		for _, old := range last.Set {
			if st.Settings == nil || !slices.ContainsFunc(st.Settings.Set, func(n Setting) bool { return n.Name == old.Name }) {
				texts = append(texts, local+old.Name+" to default")
			}
		}
	}
	if st.Settings != nil {
		for _, n := range st.Settings.Set {
			texts = append(texts, local+n.Text)
		}
	}
	return texts
}

// settle takes note of what the statement did to the transaction.
func (s *Session) settle(parts []statement, st *Statement, result *Result, err error) ([]Ended, *Error) {
	closed := s.conn.pg().IsClosed()
	if err != nil {
		failure := describe(err, closed)
		switch failure.SQLState {
		case "0A000", "26000", "42P18":
			s.conn.stale = true // what it has prepared may be out of date
		}
		if failure.Server != nil && failure.Server.Routine == "RevalidateCachedQuery" {
			s.pool.Reset() // a table has changed; others have prepared the same
		}
		if s.step && s.failed == nil && (closed || s.conn.status() != inTransaction) && !(closed && s.fresh()) {
			s.failed = failure
		}
		if !s.step && closed {
			return s.ended(0, false), failure
		}
		return nil, failure
	}
	s.begun = s.begun || s.step
	var ended []Ended
	for i := range parts {
		ended = append(ended, s.follow(&parts[i], st, result.Tag)...)
	}
	if s.step && s.conn.status() == idle {
		// A COMMIT that the rules did not see. What it committed stays; nothing
		// more may.
		s.failed = refuse("COMMIT")
		s.conn.spoiled = true
		return nil, s.failed
	}
	return ended, nil
}

// follow keeps the savepoints, and notes what stays on the connection.
func (s *Session) follow(p *statement, st *Statement, tag string) []Ended {
	if p.changesSchema() {
		s.altered = true
		schemaVersion.Add(1)
	}
	switch p.kind {
	case saves:
		s.savepoints = append(s.savepoints, savepoint{name: p.name, owner: st.Owner})
	case releases:
		if i := s.find(p.name); i >= 0 {
			s.savepoints = s.savepoints[:i]
			for h := range s.hooks {
				s.hooks[h].depth = min(s.hooks[h].depth, i)
			}
		}
	case returns:
		s.failed = nil
		if s.altered {
			schemaVersion.Add(1)
		}
		if s.settings != nil { // which of them are in force now depends on where they were set
			s.settings = &Settings{Set: s.settings.Set}
		}
		if i := s.find(p.name); i >= 0 {
			s.savepoints = s.savepoints[:i+1]
			return s.ended(i+1, false)
		}
	case sets:
		s.conn.spoiled = s.conn.spoiled || !s.step
	case listens:
		// Within a transaction it is not certain yet.
		s.conn.listening = !unlistensAll(st.SQL) || s.conn.status() != idle
	case resets, lingers:
		s.conn.spoiled = true
	case commits, rollsBack:
		s.savepoints = nil
		s.schemaSettled()
		s.settings = s.lasting
		return s.ended(0, p.kind == commits && tag != "ROLLBACK") // what COMMIT says of a failed one
	}
	return nil
}

// schemaSettled: what was changed in the transaction is there for all, or is
// not any more.
func (s *Session) schemaSettled() {
	if s.altered {
		s.altered = false
		schemaVersion.Add(1)
	}
}

func (s *Session) find(name string) int {
	for i := len(s.savepoints) - 1; i >= 0; i-- {
		if s.savepoints[i].name == name {
			return i
		}
	}
	return -1
}

// rest gives a plain session's connection back when nothing ties it.
func (s *Session) rest(ctx context.Context) {
	if s.step || s.conn == nil {
		return
	}
	switch {
	case s.conn.pg().IsClosed():
		s.release(ctx)
	case s.conn.status() != idle || s.conn.spoiled || s.conn.listening:
		// The session keeps it.
	case s.conn.stale:
		s.release(ctx)
	default:
		s.unset(ctx)
		s.release(ctx)
	}
}

// unset takes the settings off a connection that others will use.
func (s *Session) unset(ctx context.Context) {
	if s.lasting == nil {
		return
	}
	var text strings.Builder
	for _, setting := range s.lasting.Set {
		text.WriteString("set " + setting.Name + " to default;")
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), hardStop)
	defer cancel()
	if _, err := s.conn.pg().Exec(ctx, text.String()).ReadAll(); err != nil {
		s.conn.spoiled = true
	}
}

// maxResult is the most bytes of values that a result may have.
const maxResult = math.MaxInt32

// read collects the rows of one result.
func read(r *pgconn.ResultReader) (*Result, error) {
	result := &Result{}
	for r.NextRow() {
		for _, v := range r.Values() {
			end := len(result.Values) + len(v)
			if end > maxResult {
				_, err := r.Close()
				return nil, errors.CombineErrors(&Error{
					SQLState: stateTooLarge, Message: "the result is larger than 2 GB", Hint: "use a cursor, or LIMIT",
				}, err)
			}
			result.Values = append(result.Values, v...)
			if v == nil {
				end = ^end
			}
			result.Ends = append(result.Ends, int32(end))
		}
		result.Rows++
	}
	// Copied, for the reader's are the connection's.
	result.Fields = append(result.Fields, r.FieldDescriptions()...)
	tag, err := r.Close()
	result.Tag = tag.String()
	if err != nil {
		return nil, err
	}
	return result, nil
}

// readLast collects the rows of the last one of several results.
func readLast(answers *pgconn.MultiResultReader) (*Result, error) {
	var last *Result
	for answers.NextResult() {
		var err error
		if last, err = read(answers.ResultReader()); err != nil {
			return nil, errors.CombineErrors(err, answers.Close())
		}
	}
	return last, answers.Close()
}
