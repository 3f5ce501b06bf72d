package orchestration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// storableText replaces what a text column of PostgreSQL cannot hold.
func storableText(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\u2400")
}

// unstorable says why results cannot be stored, or returns "". limit is in bytes.
func unstorable(results json.RawMessage, limit int) string {
	if len(results) == 0 {
		return ""
	}
	if len(results) > limit {
		return fmt.Sprintf("they have %d bytes, and %d are allowed (Config.MaxDocumentBytes); store what is large elsewhere, and return its key", len(results), limit)
	}
	if !json.Valid(results) {
		return "they are not valid JSON"
	}
	if bytes.Contains(results, []byte(`\u0000`)) && hasNUL(results) {
		return "a string in them holds a NUL character"
	}
	return ""
}

// hasNUL distinguishes the escape of a NUL from a backslash followed by u0000.
func hasNUL(document []byte) bool {
	for i := 0; i < len(document); i++ {
		if document[i] != '\\' {
			continue
		}
		if bytes.HasPrefix(document[i:], []byte(`\u0000`)) {
			return true
		}
		i++ // skip the escaped character
	}
	return false
}
