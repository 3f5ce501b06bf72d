package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

func newStats() *cobra.Command {
	var output string
	var memory bool
	cmd := &cobra.Command{
		Use:   "stats",
		Short: "Print how many tasks there are and how busy the workers are, or whether their memory grows",
		Example: `  tasker-rb stats
  tasker-rb stats --memory
  tasker-rb stats --memory --output json`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf("output", output, "text", "json"); err != nil {
				return err
			}
			return withEngine(cmd, func(e *orchestration.Engine) error {
				list, err := e.Workers(cmd.Context())
				if err != nil {
					return err
				}
				out := cmd.OutOrStdout()
				if memory {
					if output == "json" {
						return printJSON(out, memoryJSON(list))
					}
					return printMemory(out, list)
				}
				stats, err := e.Stats(cmd.Context())
				if err != nil {
					return err
				}
				if output == "json" {
					return printJSON(out, statsAsJSON(stats, list))
				}
				return printStats(out, stats, list)
			})
		},
	}
	cmd.Flags().BoolVar(&memory, "memory", false, "print the memory of each worker, how it grows, and with which handler class")
	cmd.Flags().StringVar(&output, "output", "text", "print as `FORMAT`: text or json")
	return cmd
}

// statsStates are the states in the order in which they are printed.
var statsStates = []orchestration.TaskState{orchestration.TaskPending, orchestration.TaskInProgress, orchestration.TaskInError,
	orchestration.TaskCancelled, orchestration.TaskResolvedManually, orchestration.TaskComplete}

func printStats(out io.Writer, s orchestration.Stats, list []orchestration.WorkerInfo) error {
	counts := make([]string, len(statsStates))
	for i, state := range statsStates {
		about := ""
		if state == orchestration.TaskComplete && s.CompleteEstimated {
			about = "about "
		}
		name := strings.ReplaceAll(string(state), "_", " ")
		if state == orchestration.TaskInError {
			name = "in error"
		}
		counts[i] = fmt.Sprintf("%s%d %s", about, s.Tasks[state], name)
	}
	due := fmt.Sprintf("%d wait for a worker", s.Due)
	if d := s.Oldest; d != nil {
		due += fmt.Sprintf("; task %d (%s/%s) has waited for %v", d.TaskID, printable(d.Namespace), printable(d.Name), d.Waits.Round(time.Second))
	}
	busy, threads := 0, 0
	for _, w := range list {
		busy, threads = busy+w.Busy, threads+w.Threads
	}
	workers := fmt.Sprintf("%s, %d of %d threads busy", plural(len(list), "worker"), busy, threads)
	if len(list) == 0 {
		workers = "no worker is running"
	}
	_, err := fmt.Fprintf(out, "tasks    %s\ndue      %s\nworkers  %s\n", strings.Join(counts, ", "), due, workers)
	return err
}

type statsJSON struct {
	Tasks             map[orchestration.TaskState]int `json:"tasks"`
	CompleteEstimated bool                            `json:"complete_estimated"`
	Due               int                             `json:"due"`
	Oldest            *dueJSON                        `json:"oldest_due"`
	Workers           int                             `json:"workers"`
	Threads           int                             `json:"threads"`
	Busy              int                             `json:"busy"`
}

type dueJSON struct {
	TaskID    int64   `json:"task_id"`
	Namespace string  `json:"namespace"`
	Name      string  `json:"name"`
	DueAt     *moment `json:"due_at"`
	Waits     float64 `json:"waits_seconds"`
}

func statsAsJSON(s orchestration.Stats, list []orchestration.WorkerInfo) statsJSON {
	out := statsJSON{Tasks: s.Tasks, CompleteEstimated: s.CompleteEstimated, Due: s.Due, Workers: len(list)}
	if d := s.Oldest; d != nil {
		out.Oldest = &dueJSON{d.TaskID, d.Namespace, d.Name, momentOf(d.DueAt), d.Waits.Seconds()}
	}
	for _, w := range list {
		out.Threads, out.Busy = out.Threads+w.Threads, out.Busy+w.Busy
	}
	return out
}
