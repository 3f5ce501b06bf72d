package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sample is a report of two contenders, one list, and one that was left out.
func sample() *Report {
	rounds := func(host, redis time.Duration, took ...time.Duration) []Round {
		var list []Round
		for _, t := range took {
			list = append(list, Round{Tasks: 1000, Took: t, Host: host, Postgres: 2 * host, Redis: redis})
		}
		return list
	}
	return &Report{
		At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Processors: 2, Load: "0.10 0.20 0.30", Versions: map[string]string{"ruby": "3.1.2"},
		Shapes: []ShapeReport{{
			Shape: Shape{Name: "diamond", Title: "diamond, no SQL", Levels: []int{1, 2, 1}},
			Contenders: []ContenderReport{
				{Name: "tasker-rb worker", Tasks: 1000, Rounds: rounds(time.Second, 0, time.Second, 2*time.Second, 4*time.Second)},
				{Name: "Sidekiq", Tasks: 1000, Rounds: rounds(2*time.Second, 500*time.Millisecond, 2*time.Second, 4*time.Second, 8*time.Second)},
			},
			Lists: []ListReport{
				{Flags: "", Times: []ContenderTime{{Name: "tasker-rb worker", Times: []time.Duration{20 * time.Millisecond}}}},
				{Flags: "--state error", Times: []ContenderTime{{Name: "tasker-rb worker", Times: []time.Duration{30 * time.Millisecond}}}},
			},
		}},
		LeftOut: []LeftOut{{"delayed_job", []requirement{{"the Ruby library delayed_job_active_record", "make bench/setup"}}}},
	}
}

func TestTheTable(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, sample().print(&out))
	require.Equal(t, `2026-01-02 03:04:05, 2 processors, load 0.10 0.20 0.30, map[ruby:3.1.2]

diamond, no SQL (diamond)
contender         tasks/s        ratio  ms a task: host  PostgreSQL  Redis  tasks a round
tasker-rb worker  500 (375-750)  1.00   1.00             2.00        -      1,000
Sidekiq           250 (188-375)  0.50   2.00             4.00        0.50   1,000

ms for tasks list  tasker-rb worker
(all)              20.0
--state error      30.0
left out: delayed_job: the Ruby library delayed_job_active_record is missing (make bench/setup)
`, out.String())
}

// A ratio compares the same rounds, so a slow moment of the machine cancels out.
func TestRatiosArePairedByRound(t *testing.T) {
	t.Parallel()
	shape := sample().Shapes[0]
	require.Equal(t, Spread{0.5, 0.5, 0.5}, shape.Contenders[1].Ratio(shape.Contenders[0]))
}

func TestWhatIsWritten(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new")
	want := sample()
	require.NoError(t, want.write(dir))
	read := func(name string) []byte {
		content, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		return content
	}
	var got Report
	require.NoError(t, json.Unmarshal(read("report.json"), &got))
	require.Equal(t, want, &got)
	require.Contains(t, string(read("report.txt")), "Sidekiq")

	image, err := png.Decode(bytes.NewReader(read("report.png")))
	require.NoError(t, err)
	colours := map[any]bool{}
	for x := range image.Bounds().Dx() {
		for y := range image.Bounds().Dy() {
			colours[image.At(x, y)] = true
		}
	}
	for _, colour := range partColours {
		require.True(t, colours[colour], "nothing has the colour %v", colour)
	}
	require.NoError(t, wellFormed(read("report.svg")))
	require.Contains(t, string(read("report.svg")), "tasker-rb worker")
}

func wellFormed(document []byte) error {
	for decoder := xml.NewDecoder(bytes.NewReader(document)); ; {
		if _, err := decoder.Token(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func TestContendersOfFullTables(t *testing.T) {
	t.Parallel()
	list := []contender{&tasker{name: "tasker-rb worker"}, &tasker{name: "before"}, floor{}, sidekiq{}}
	var found []string
	for _, c := range beside(list, Shape{Beside: tables{Finished: 1}}) {
		found = append(found, c.Name())
	}
	require.Equal(t, []string{"tasker-rb worker, empty tables", "tasker-rb worker", "before, empty tables", "before"}, found)
	require.Len(t, beside(list, Shape{}), len(list))
}

func TestAMissingProgramIsNamed(t *testing.T) {
	t.Parallel()
	_, missing, err := chooseContenders(options{program: "/nowhere/tasker-rb", contenders: "tasker-rb"})
	require.ErrorContains(t, err, "/nowhere/tasker-rb is missing (make build)")
	require.Len(t, missing, 1)
	list, missing, err := chooseContenders(options{program: "/nowhere/tasker-rb", contenders: "tasker-rb,floor"})
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, "tasker-rb worker: /nowhere/tasker-rb is missing (make build)", missing[0].String())
}
