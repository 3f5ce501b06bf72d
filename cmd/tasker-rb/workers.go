package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

func newWorkers() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "workers",
		Short: "List the workers that live, what they take and how busy they are",
		Example: `  tasker-rb workers
  tasker-rb workers --output json`,
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
				if output == "json" {
					return printJSON(cmd.OutOrStdout(), workersJSON(list))
				}
				return printWorkers(cmd, list)
			})
		},
	}
	cmd.Flags().StringVar(&output, "output", "text", "print as `FORMAT`: text or json")
	return cmd
}

func printWorkers(cmd *cobra.Command, list []orchestration.WorkerInfo) error {
	out := cmd.OutOrStdout()
	if len(list) == 0 {
		_, err := fmt.Fprintln(out, "no worker is running\nhint: Start one with `tasker-rb worker --handlers DIR`.")
		return err
	}
	rows := make([][]string, len(list))
	for i, w := range list {
		busy := fmt.Sprint(w.Busy)
		if w.Threads > 0 {
			busy = fmt.Sprintf("%d/%d", w.Busy, w.Threads)
		}
		rows[i] = []string{printable(w.Host), fmt.Sprint(w.PID), printable(w.Version), printable(takesText(w)), busy, fmt.Sprint(w.Held),
			w.StartedAt.Local().Format(time.DateTime), shortDuration(w.HeartbeatAge) + " ago", printable(strings.Join(w.Misses, ", "))}
	}
	return printTable(out, []string{"HOST", "PID", "VERSION", "TAKES", "BUSY", "TASKS", "SINCE", "HEARTBEAT", "MISSES"}, rows)
}

// takesText describes the worker's filters.
func takesText(w orchestration.WorkerInfo) string {
	if w.Draining {
		return "nothing more, it stops"
	}
	var filters []string
	for _, filter := range []struct {
		of   string
		list []string
	}{{"queue", w.Queues}, {"namespace", w.Namespaces}, {"name", w.Names}} {
		if filter.list != nil {
			filters = append(filters, filter.of+" "+strings.Join(filter.list, ", "))
		}
	}
	if len(filters) == 0 {
		return "all"
	}
	return strings.Join(filters, "; ")
}

type workerJSON struct {
	Number      int64    `json:"number"`
	Host        string   `json:"host"`
	PID         int      `json:"pid"`
	Version     string   `json:"version"`
	Queues      []string `json:"queues"`
	Namespaces  []string `json:"namespaces"`
	Names       []string `json:"names"`
	Threads     *int     `json:"threads"`
	Busy        int      `json:"busy"`
	Misses      []string `json:"misses"`
	Held        int      `json:"held"`
	Draining    bool     `json:"draining"`
	StartedAt   *moment  `json:"started_at"`
	HeartbeatAt *moment  `json:"heartbeat_at"`
}

func workersJSON(list []orchestration.WorkerInfo) []workerJSON {
	out := make([]workerJSON, len(list))
	for i, w := range list {
		out[i] = workerJSON{
			Number: w.Number, Host: w.Host, PID: w.PID, Version: w.Version, Queues: w.Queues, Namespaces: w.Namespaces, Names: w.Names,
			Busy: w.Busy, Misses: w.Misses, Held: w.Held, Draining: w.Draining, StartedAt: momentOf(w.StartedAt), HeartbeatAt: momentOf(w.HeartbeatAt),
		}
		if w.Threads > 0 {
			out[i].Threads = &list[i].Threads
		}
	}
	return out
}
