package testbed_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/testbed"
)

func BenchmarkBeginAndRun(b *testing.B) {
	bed, template := open(b), parse(b, shopYAML)
	for b.Loop() {
		require.NoError(b, bed.Begin(b.Context(), noon))
		run, err := bed.Run(b.Context(), orchestration.Submission{Template: template}, testbed.RunOptions{})
		require.NoError(b, err)
		require.Equal(b, orchestration.TaskComplete, run.Task.State)
	}
}

func BenchmarkBegin(b *testing.B) {
	bed := open(b)
	for b.Loop() {
		require.NoError(b, bed.Begin(b.Context(), noon))
	}
}

func BenchmarkBeginAndCrash(b *testing.B) {
	bed, template := open(b), parse(b, shopYAML)
	for b.Loop() {
		begin(b, bed)
		run(b, bed, template, testbed.RunOptions{Crash: &testbed.Point{Step: "charge", Attempt: 1, At: testbed.AtStatement, Number: 2}})
	}
}

// The rows that a test begins with are looked at before each test.
func BenchmarkBeginWithManyRows(b *testing.B) {
	bed := open(b)
	_, err := bed.Pool().Exec(b.Context(), "insert into prices select 'item ' || n, n from generate_series(1, 20000) n")
	require.NoError(b, err)
	for b.Loop() {
		begin(b, bed)
	}
}
