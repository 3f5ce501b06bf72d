package orchestration

import (
	"context"
	"encoding/json"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
)

// MaxReport is how many bytes a report may have. Each heartbeat copies the row that it is in.
const MaxReport = 8 << 10

// Report publishes a JSON document about the program, such as how much memory it uses.
// [Engine.Workers] returns it to other processes, while the engine lives. The next
// heartbeat writes it, so Report does not wait for the database. A later report replaces it.
//
// It returns an error for what is not JSON, or has more than [MaxReport] bytes.
func (e *Engine) Report(document json.RawMessage) error {
	switch {
	case len(document) > MaxReport:
		return errors.WithHint(errors.Newf("orchestration: a report of %d bytes", len(document)),
			"At most 8 KB are kept: each heartbeat copies them. Report the largest parts only.")
	case !json.Valid(document):
		return errors.WithHint(errors.New("orchestration: the report is not JSON"), "Pass what json.Marshal returns.")
	}
	text := string(document)
	e.session.mu.Lock()
	defer e.session.mu.Unlock()
	e.session.report, e.session.unwritten = &text, &text
	return nil
}

const reportSQL = `update tasker.workers set report = $2::text::jsonb where number = $1`

// writeReport writes the latest report into the engine's row, unless it is there. A report
// that the server refuses is dropped: it must not cost the engine its session.
func (s *session) writeReport(ctx context.Context, conn *pgx.Conn) error {
	s.mu.Lock()
	report, number := s.unwritten, s.number
	s.mu.Unlock()
	if report == nil || number == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, heartbeatTimeout)
	defer cancel()
	if _, err := conn.Exec(ctx, reportSQL, number, *report); err != nil {
		if conn.IsClosed() {
			return errors.Wrap(err, "writing the engine's report")
		}
		s.logger.Warn("the engine's report could not be written", "error", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unwritten == report {
		s.unwritten = nil
	}
	return nil
}
