package sqlsession

import (
	"bytes"
	"context"
)

// CopyIn runs COPY ... FROM STDIN with its data.
func (s *Session) CopyIn(ctx context.Context, st *Statement, data []byte) (*Result, error) {
	return s.checkAndSend(ctx, st, func(parts []part, sql string) (*Result, error) {
		if err := s.sendBefore(ctx, st, parts); err != nil {
			return nil, err
		}
		tag, err := s.conn.pg().CopyFrom(context.Background(), bytes.NewReader(data), sql)
		return &Result{Tag: tag.String()}, err
	})
}

// copyOut returns the lines of COPY ... TO STDOUT as rows of one value.
func (s *Session) copyOut(ctx context.Context, st *Statement, parts []part, sql string) (*Result, error) {
	if err := s.sendBefore(ctx, st, parts); err != nil {
		return nil, err
	}
	result := &Result{Copy: 'O'}
	tag, err := s.conn.pg().CopyTo(context.Background(), lines{result}, sql)
	result.Tag = tag.String()
	return result, err
}

// lines appends to the result. pgconn calls Write once for each copied line.
type lines struct{ result *Result }

func (l lines) Write(line []byte) (int, error) {
	end := len(l.result.Values) + len(line)
	if end > maxResult {
		return 0, &Error{SQLState: stateTooLarge, Message: "the copied data is larger than 2 GB", Hint: "copy it in parts"}
	}
	l.result.Values = append(l.result.Values, line...)
	l.result.Ends = append(l.result.Ends, int32(end))
	l.result.Rows++
	return len(line), nil
}
