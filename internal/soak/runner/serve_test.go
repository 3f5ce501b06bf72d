package runner_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/errors"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/exampletest"
	"github.com/tasker-rb/tasker-rb/internal/soak"
	"github.com/tasker-rb/tasker-rb/internal/soak/runner"
	"github.com/tasker-rb/tasker-rb/rubyhost"
)

func TestExamples(t *testing.T) {
	t.Parallel()
	exampletest.Check(t, map[string]string{"package": "ExampleServe is the package in use"})
}

// Serve answers the first message with its plan, or with what the user has to correct.
func ExampleServe() {
	spec, err := json.Marshal(soak.Spec{Templates: []string{"absent.yaml"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	var answers bytes.Buffer
	err = runner.Serve(context.Background(), bytes.NewReader(spec), &answers, runner.Options{Version: "1.0.0"})
	fmt.Println(strings.Contains(answers.String(), "absent.yaml"), err)
	// Output: true <nil>
}

// serve serves what is in the pipe, in a process without Ruby.
func serve(t *testing.T, in string, out io.Writer) error {
	t.Helper()
	return runner.Serve(t.Context(), strings.NewReader(in), out, runner.Options{
		Boot: func(*soak.Spec) (*rubyhost.Host, error) {
			return nil, errors.WithHint(errors.New("there is no Ruby"), "Install it.")
		},
	})
}

func specOf(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "order.yaml")
	require.NoError(t, os.WriteFile(file, []byte("name: order\nstep_templates:\n  - {name: s, handler_class: S}\n"), 0o644))
	spec, err := json.Marshal(soak.Spec{Templates: []string{file}, Threads: 1})
	require.NoError(t, err)
	return string(spec)
}

func TestWhatTheUserCanCorrectIsAnAnswer(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, serve(t, specOf(t), &out))
	var a soak.Answer
	require.NoError(t, json.Unmarshal(out.Bytes(), &a))
	require.Equal(t, soak.Answer{Over: true, Failure: &soak.Failure{Message: "there is no Ruby", Hint: "Install it."}}, a)
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestABrokenPipeIsAnError(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, serve(t, `{"Templates": [`, io.Discard), "reading what is to run")
	require.ErrorContains(t, serve(t, "", io.Discard), "reading what is to run")
	require.ErrorIs(t, serve(t, specOf(t), brokenPipe{}), io.ErrClosedPipe)
}
