package orchestration

import (
	"encoding/json"
	"strconv"
)

const (
	// smallResult is the size up to which the result of a done step stays in memory with
	// its task. Larger ones are read from the database when a handler asks for them.
	smallResult = 64 << 10
	// keptResults bounds the small results of one task in memory.
	keptResults = 2 << 20
)

// storedLimit is smallResult for a value as PostgreSQL stores it, with its header.
var storedLimit = strconv.Itoa(smallResult + 4)

// result is what a step has returned. The zero value is that of a step that is not done.
type result struct {
	bytes int             // 0 if there is none
	json  json.RawMessage // nil if it is in the database only
}

func resultOf(document json.RawMessage) result { return result{bytes: len(document), json: document} }

// large is how many bytes a handler that reads the result takes of Engine.memory.
func (r result) large() int {
	if r.bytes <= smallResult {
		return 0
	}
	return r.bytes
}

// setResults keeps the results of a done step if they are small and the task does not have
// many others in memory.
func (t *taskRun) setResults(s *stepRun, r result) {
	t.kept -= len(s.results.json)
	if r.large() > 0 || t.kept+r.bytes > keptResults {
		r.json = nil
	}
	s.results = r
	t.kept += len(r.json)
}

// storedBytes is tasker.attempts.results_bytes.
func storedBytes(document json.RawMessage) *int32 {
	if len(document) <= smallResult {
		return nil
	}
	bytes := int32(len(document))
	return &bytes
}
