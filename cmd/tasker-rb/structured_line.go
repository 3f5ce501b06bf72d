package main

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// fact is a fact of a line that log_structured writes.
type fact struct {
	key   string
	value json.RawMessage
}

// structured takes the JSON that log_structured writes apart: the message, and its facts in
// their order. Any other line is returned unchanged.
func structured(line string) (message string, facts []fact) {
	if !strings.HasPrefix(line, `{"message":`) {
		return line, nil
	}
	decoder := json.NewDecoder(strings.NewReader(line))
	if _, err := decoder.Token(); err != nil {
		return line, nil
	}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return line, nil
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return line, nil
		}
		switch key {
		case "message":
			message = unquoted(value)
		case "component": // the step's name says it
		default:
			name, _ := key.(string)
			facts = append(facts, fact{name, value})
		}
	}
	return message, facts
}

// structuredLine shows such a line as the message and its facts as key=value.
func structuredLine(line string) string {
	message, facts := structured(line)
	for _, f := range facts {
		message += " " + f.key + "=" + factText(f.value)
	}
	return message
}

func unquoted(value json.RawMessage) string {
	var text *string
	if json.Unmarshal(value, &text) != nil || text == nil {
		return string(value)
	}
	return *text
}

// factText returns the text of a fact. It keeps the quotes if the end of the text
// would not be clear without them.
func factText(value json.RawMessage) string {
	text := unquoted(value)
	if bytes.HasPrefix(value, []byte(`"`)) && unclear(text) {
		return string(value)
	}
	return text
}

// unclear reports whether a text needs quotes after "key=".
func unclear(text string) bool {
	if text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == '"' || r == '=' || r == '\\' || r > '~' }) {
		return false // nearly always
	}
	return text == "" || strings.ContainsAny(text, " \"=\n") || strconv.Quote(text) != `"`+text+`"`
}
