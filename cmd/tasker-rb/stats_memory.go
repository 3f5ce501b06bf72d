package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	soakwatch "github.com/tasker-rb/tasker-rb/internal/soak/watch"
	"github.com/tasker-rb/tasker-rb/orchestration"
)

// workerReport is what a worker publishes about itself.
type workerReport struct {
	Memory *soakwatch.Report `json:"memory"`
}

// memoryOf is what a worker says about its memory. It is nil if its program says nothing, or
// something that this program does not know.
func memoryOf(w orchestration.WorkerInfo) *soakwatch.Report {
	var report workerReport
	if w.Report == nil || json.Unmarshal(w.Report, &report) != nil {
		return nil
	}
	return report.Memory
}

type workerMemoryJSON struct {
	Number    int64             `json:"number"`
	Host      string            `json:"host"`
	PID       int               `json:"pid"`
	StartedAt *moment           `json:"started_at"`
	Memory    *soakwatch.Report `json:"memory"`
}

func memoryJSON(list []orchestration.WorkerInfo) []workerMemoryJSON {
	out := make([]workerMemoryJSON, len(list))
	for i, w := range list {
		out[i] = workerMemoryJSON{w.Number, w.Host, w.PID, momentOf(w.StartedAt), memoryOf(w)}
	}
	return out
}

func printMemory(out io.Writer, list []orchestration.WorkerInfo) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(out, "no worker is running\nhint: Start one with `tasker-rb worker --handlers DIR`.")
		return err
	}
	for i, w := range list {
		if i > 0 {
			if _, err := fmt.Fprintln(out); err != nil {
				return err
			}
		}
		if err := printWorkerMemory(out, w); err != nil {
			return err
		}
	}
	return nil
}

func printWorkerMemory(out io.Writer, w orchestration.WorkerInfo) error {
	who := fmt.Sprintf("%s, process %d", printable(w.Host), w.PID)
	r := memoryOf(w)
	if r == nil {
		_, err := fmt.Fprintf(out, "%s, since %s\n  says nothing about its memory\n", who, w.StartedAt.Local().Format(time.DateTime))
		return err
	}
	resident := "unknown"
	if r.RSS >= 0 {
		resident = sizeText(float64(r.RSS))
	}
	if r.Limit > 0 {
		resident += " of " + sizeText(float64(r.Limit)) + " (--max-rss)"
	}
	age := max(w.HeartbeatAt.Add(w.HeartbeatAge).Sub(r.At), 0).Round(time.Second)
	if _, err := fmt.Fprintf(out, "%s, since %s: %s, %v ago\n  %d steps, %v a second lately\n",
		who, r.Since.Local().Format(time.DateTime), resident, age, r.Steps, r.Rate); err != nil {
		return err
	}
	if waits := r.Waits(); waits != "" {
		_, err := fmt.Fprintln(out, "  "+waits)
		return err
	}
	for _, g := range r.Measures {
		now := ""
		if g.Now >= 0 {
			now = sizeText(float64(g.Now))
		}
		if _, err := fmt.Fprintf(out, "  %-17s %8s  %s\n", printable(g.Name), now, printable(g.Words(r.Rate))); err != nil {
			return err
		}
	}
	return printClasses(out, r)
}

// printClasses prints the classes that grow, and after them the others.
func printClasses(out io.Writer, r *soakwatch.Report) error {
	if len(r.Classes) > 0 {
		rows := make([][]string, len(r.Classes))
		for i, c := range r.Classes {
			grows := ""
			if c.Grows {
				grows = "grows"
			}
			rows[i] = []string{" ", printable(strings.Join(c.Names, " + ")), fmt.Sprint(c.Calls), fmt.Sprint(c.Bytes),
				fmt.Sprintf("%v to %v", c.Low, c.High), printable(c.Of), grows}
		}
		if err := printTable(out, []string{" ", "CLASS", "CALLS", "BYTES A CALL", "INTERVAL", "OF", ""}, rows); err != nil {
			return err
		}
	}
	if len(r.Tied) > 0 {
		if _, err := fmt.Fprintf(out, "  cannot be told apart: %s\n", printable(strings.Join(r.Tied, ", "))); err != nil {
			return err
		}
	}
	if r.Cut > 0 {
		if _, err := fmt.Fprintf(out, "  and %s more\n", plural(r.Cut, "class")); err != nil {
			return err
		}
	}
	return nil
}
