package orchestration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// mostDifferences bounds TryResult.Differences.
const mostDifferences = 10

// compare compares the outcome with that of the latest attempt whose handler returned.
func (r *TryResult) compare(history []Attempt, redacted bool) {
	for i := range slices.Backward(history) {
		if history[i].Outcome == "complete" || history[i].Outcome == "error" {
			r.Recorded = &history[i]
			break
		}
	}
	if r.Recorded == nil {
		return
	}
	c := comparison{redacted: redacted}
	switch was := r.Recorded.Err; {
	case was == nil && r.Err == nil:
		c.documents(r.Recorded.Results, r.Results)
	case was == nil:
		c.add("it failed, and was complete when it was recorded")
	case r.Err == nil:
		c.add("it is complete, and failed when it was recorded: %s", was)
	default:
		c.texts("the error's class", was.Class, r.Err.Class)
		c.texts("the error's message", was.Message, r.Err.Message)
		c.texts("the error's code", was.ErrorCode, r.Err.ErrorCode)
	}
	r.Differences = c.found
	if more := c.count - len(c.found); more > 0 {
		r.Differences = append(r.Differences, fmt.Sprintf("and %d more", more))
	}
}

// comparison collects differences. A redacted value equals every value.
type comparison struct {
	redacted bool
	found    []string
	count    int
}

func (c *comparison) add(format string, args ...any) {
	if c.count++; len(c.found) < mostDifferences {
		c.found = append(c.found, fmt.Sprintf(format, args...))
	}
}

func (c *comparison) texts(what, was, is string) {
	if was != is && !(c.redacted && was == redactedText) {
		c.add("%s is %s, and was %s", what, shown(is), shown(was))
	}
}

func (c *comparison) documents(was, is json.RawMessage) {
	if bytes.Equal(was, is) {
		return
	}
	c.values("results", decodeExact(was), decodeExact(is))
}

// decodeExact keeps the text of numbers.
func decodeExact(document json.RawMessage) (value any) {
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	_ = d.Decode(&value) // both documents have been checked
	return value
}

// values compares two values at a path. The order of keys does not matter.
func (c *comparison) values(path string, was, is any) {
	if c.redacted && was == any(redactedText) {
		return
	}
	switch was := was.(type) {
	case map[string]any:
		if is, ok := is.(map[string]any); ok {
			for _, key := range slices.Sorted(maps.Keys(was)) {
				if value, there := is[key]; there {
					c.values(path+"."+key, was[key], value)
				} else {
					c.add("%s.%s is missing, and was %s", path, key, shown(was[key]))
				}
			}
			for _, key := range slices.Sorted(maps.Keys(is)) {
				if _, there := was[key]; !there {
					c.add("%s.%s is %s, and was not there", path, key, shown(is[key]))
				}
			}
			return
		}
	case []any:
		if is, ok := is.([]any); ok {
			for i := range min(len(was), len(is)) {
				c.values(fmt.Sprintf("%s[%d]", path, i), was[i], is[i])
			}
			if len(was) != len(is) {
				c.add("%s has %d elements, and had %d", path, len(is), len(was))
			}
			return
		}
	default:
		if was == is {
			return
		}
	}
	c.add("%s is %s, and was %s", path, shown(is), shown(was))
}

// shown is a value in a sentence.
func shown(value any) string {
	text, err := marshalExact(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	if runes := []rune(string(text)); len(runes) > 200 {
		return string(runes[:200]) + "…"
	}
	return string(text)
}
