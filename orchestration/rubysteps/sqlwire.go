package rubysteps

import (
	"encoding/binary"
	"encoding/json"
	"strings"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tasker-rb/tasker-rb/orchestration/sqlsession"
)

// sqlRequest is a request from Ruby. All numbers are little-endian. The flags are
// 1 for binary values, 2 for a text that must be one statement, and 4 for notices.
//
//	op u8, connection u32, owner u64, flags u8, parameters u16, text u32
//	the text
//	for each parameter: length i32 (-1: NULL), form u8, and the bytes
//	the rest: data
//
// The form of a parameter is 0 for text, 1 for binary, and 2 for text followed by
// the same value as JSON, with a length u32 of its own before it. If 0x80 is
// added, the parameter's type comes before the bytes, as u32.
type sqlRequest struct {
	op         byte
	connection uint32
	statement  sqlsession.Statement
	heard      *heard // nil unless the statement's notices are asked for
	data       []byte
}

const requestHeader = 1 + 4 + 8 + 1 + 2 + 4

// typed is added to the form of a parameter whose type is given.
const typed = 0x80

var errTruncated = errors.New("a SQL request is shorter than its header says")

func parseRequest(b []byte) (*sqlRequest, error) {
	if len(b) < requestHeader {
		return nil, errTruncated
	}
	le := binary.LittleEndian
	r := &sqlRequest{op: b[0], connection: le.Uint32(b[1:])}
	r.statement.Owner = le.Uint64(b[5:])
	r.statement.Binary, r.statement.Single = b[13]&1 != 0, b[13]&2 != 0
	if b[13]&4 != 0 {
		r.heard = &heard{}
		r.statement.OnNotice = r.heard.add
	}
	n, text := int(le.Uint16(b[14:])), int(le.Uint32(b[16:]))
	b = b[requestHeader:]
	if text > len(b) {
		return nil, errTruncated
	}
	r.statement.SQL, b = string(b[:text]), b[text:]
	if n > 0 {
		r.statement.Params = make([][]byte, n)
	}
	for i := range n {
		if len(b) < 5 {
			return nil, errTruncated
		}
		size, form := int(int32(le.Uint32(b))), b[4]
		b = b[5:]
		if size < 0 {
			continue
		}
		if form&typed != 0 {
			if len(b) < 4 {
				return nil, errTruncated
			}
			if r.statement.Types == nil {
				r.statement.Types = make([]uint32, n)
			}
			r.statement.Types[i], form, b = le.Uint32(b), form&^typed, b[4:]
		}
		if size > len(b) {
			return nil, errTruncated
		}
		r.statement.Params[i], b = b[:size:size], b[size:]
		switch form {
		case 1:
			if r.statement.Formats == nil {
				r.statement.Formats = make([]int16, n)
			}
			r.statement.Formats[i] = 1
		case 2:
			if len(b) < 4 || int(le.Uint32(b)) > len(b)-4 {
				return nil, errTruncated
			}
			if r.statement.JSON == nil {
				r.statement.JSON = make([][]byte, n)
			}
			end := 4 + int(le.Uint32(b))
			r.statement.JSON[i], b = b[4:end:end], b[end:]
		}
	}
	r.data = b
	return r, nil
}

// encodeResult writes a result as Tasker::Postgres::Channel reads it:
//
//	'R', status u8, copy u8, more u8, columns u16, ended hooks u16, rows u32, affected u64, tag u8
//	the tag; for each ended hook: number u64, committed u8
//	for each column: type u32, table u32, column u16, size i16, modifier i32, format u8, name u16 and the name
//	for each value an i32, from Result.Ends; the values
//
// more is 1 if anything follows the tag.
func encodeResult(r *sqlsession.Result) []byte {
	le := binary.LittleEndian
	size := 21 + len(r.Tag) + 9*len(r.Ended) + 4*len(r.Ends) + len(r.Values)
	for i := range r.Fields {
		size += 19 + len(r.Fields[i].Name)
	}
	b := make([]byte, 0, size)
	b = append(b, 'R', r.Status, r.Copy, flag(len(r.Fields)+len(r.Ended)+len(r.Ends) > 0))
	b = le.AppendUint16(b, uint16(len(r.Fields)))
	b = le.AppendUint16(b, uint16(len(r.Ended)))
	b = le.AppendUint32(b, uint32(r.Rows))
	b = le.AppendUint64(b, uint64(pgconn.NewCommandTag(r.Tag).RowsAffected()))
	b = append(b, byte(len(r.Tag)))
	b = append(b, r.Tag...)
	for _, e := range r.Ended {
		b = append(le.AppendUint64(b, e.Hook), flag(e.Committed))
	}
	for i := range r.Fields {
		f := &r.Fields[i]
		b = le.AppendUint32(b, f.DataTypeOID)
		b = le.AppendUint32(b, f.TableOID)
		b = le.AppendUint16(b, f.TableAttributeNumber)
		b = le.AppendUint16(b, uint16(f.DataTypeSize))
		b = le.AppendUint32(b, uint32(f.TypeModifier))
		b = append(b, byte(f.Format))
		b = le.AppendUint16(b, uint16(len(f.Name)))
		b = append(b, f.Name...)
	}
	for _, end := range r.Ends {
		b = le.AppendUint32(b, uint32(end))
	}
	return append(b, r.Values...)
}

// wireFailure is an error as it is sent to Ruby.
type wireFailure struct {
	Class      string `json:"class"`
	State      string `json:"state"`
	Severity   string `json:"severity"`
	Message    string `json:"message"`
	Detail     string `json:"detail,omitempty"`
	Hint       string `json:"hint,omitempty"`
	Position   int32  `json:"position,omitempty"`
	Where      string `json:"where,omitempty"`
	Schema     string `json:"schema,omitempty"`
	Table      string `json:"table,omitempty"`
	Column     string `json:"column,omitempty"`
	DataType   string `json:"data_type,omitempty"`
	Constraint string `json:"constraint,omitempty"`
	File       string `json:"file,omitempty"` // of PostgreSQL's source; some libraries check it
	Line       int32  `json:"line,omitempty"`
	Routine    string `json:"routine,omitempty"`
	Rule       bool   `json:"rule,omitempty"`
	Earlier    bool   `json:"earlier,omitempty"`
	// Unplaced asks for the place of the statement, as opPlace.
	Unplaced bool `json:"unplaced,omitempty"`
	// Place is the backtrace of the earlier statement.
	Place []string `json:"place,omitempty"`
}

// describe adds what only the server's errors and notices have.
func (w *wireFailure) describe(s *pgconn.PgError) {
	w.Severity, w.Position, w.Where = s.Severity, s.Position, s.Where
	w.Schema, w.Table, w.Column, w.DataType, w.Constraint = s.SchemaName, s.TableName, s.ColumnName, s.DataTypeName, s.ConstraintName
	w.File, w.Line, w.Routine = s.File, s.Line, s.Routine
}

// stateNotConnected is sqlclient_unable_to_establish_sqlconnection. Its class is in
// rubyhost/ruby/lib/tasker/sql_error.rb.
const (
	stateNotConnected = "08001"
	notConnected      = "NotConnected"
)

// encodeFailure writes an error as Tasker::Postgres::Channel reads it: E and JSON. An error
// that is none of a session's says why there is no database.
func encodeFailure(err error) []byte { return encodeFailed(err, false) }

// encodeFailed is encodeFailure for a statement, inside a step or outside.
func encodeFailed(err error, inStep bool) []byte {
	var e *sqlsession.Error
	class := notConnected
	if errors.As(err, &e) {
		class = e.Class()
	} else {
		e = &sqlsession.Error{SQLState: stateNotConnected, Message: err.Error(), Hint: errors.FlattenHints(err)}
	}
	w := wireFailure{
		Class: class, State: e.SQLState, Severity: "ERROR", Message: e.Message, Detail: e.Detail, Hint: e.Hint,
		Rule: e.Rule, Earlier: e.Earlier,
	}
	if s := e.Server; s != nil {
		w.describe(s)
		w.Unplaced = inStep && e.Unplaced && !e.Earlier
	}
	if e.Earlier {
		w.Place, w.Hint = e.Place, strings.TrimSpace(e.Hint+" "+e.RescuedHint())
	}
	b, err := json.Marshal(w)
	if err != nil {
		b = []byte(`{"state":"08P01","message":"the error could not be encoded"}`)
	}
	return append([]byte{'E'}, b...)
}

func flags(kind byte, set ...bool) []byte {
	b := []byte{kind}
	for _, s := range set {
		b = append(b, flag(s))
	}
	return b
}

func flag(set bool) byte {
	if set {
		return 1
	}
	return 0
}
