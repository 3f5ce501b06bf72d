package main

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"
)

// testDocument is the last line of test with --output json.
type testDocument struct {
	Framework string `json:"framework"`
	testNumbers
	Exit int `json:"exit"`
}

func printTestNumbers(w io.Writer, framework string, n testNumbers, code int) error {
	return printJSON(w, testDocument{framework, n, code})
}

// runAndSay is runHere with a document behind everything that the suite prints, also what
// it prints at its exit. If the suite has not run, the document is that of the error.
func (t *testCommand) runAndSay(cmd *cobra.Command, l testLayout) (err error) {
	dir, err := placeForNumbers()
	if err != nil {
		return err
	}
	defer func() { err = errors.CombineErrors(err, errors.WithStack(os.RemoveAll(dir))) }()
	summary := filepath.Join(dir, "numbers")
	err = t.runHere(cmd, l, processRole{summary: summary})
	numbers := readTestNumbers(summary)
	code, ended := exitOK, (*exitError)(nil)
	if errors.As(err, &ended) {
		code = ended.code
	} else if err != nil {
		return err
	}
	if numbers == nil { // the check has said why
		return err
	}
	return errors.CombineErrors(err, printTestNumbers(cmd.OutOrStdout(), t.suite.framework.name, *numbers, code))
}

func placeForNumbers() (string, error) {
	dir, err := os.MkdirTemp("", "tasker-rb-test-")
	return dir, errors.WithHint(errors.Wrap(err, "no place for the numbers of the tests"), "Set TMPDIR to a folder that you can write.")
}

// readTestNumbers returns nil if the process did not write them.
func readTestNumbers(file string) *testNumbers {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	var n testNumbers
	if json.Unmarshal(content, &n) != nil {
		return nil
	}
	return &n
}
