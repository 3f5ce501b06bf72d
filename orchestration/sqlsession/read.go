package sqlsession

import (
	"math"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5/pgconn"
)

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
	// Copied: the connection uses the reader's own ones again.
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
