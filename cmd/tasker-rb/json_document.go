package main

import (
	"bytes"
	"encoding/json"
	"io"
)

// printJSON prints a document on one line.
func printJSON(w io.Writer, document any) error { return documentsTo(w).Encode(document) }

// printIndentedJSON prints a document that people read, too.
func printIndentedJSON(w io.Writer, document any) error {
	e := documentsTo(w)
	e.SetIndent("", "  ")
	return e.Encode(document)
}

// asJSON is what printJSON prints, without the end of the line.
func asJSON(document any) ([]byte, error) {
	var b bytes.Buffer
	err := printJSON(&b, document)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// documentsTo leaves &, < and > as they are: nothing here goes into a page of HTML.
func documentsTo(w io.Writer) *json.Encoder {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e
}
