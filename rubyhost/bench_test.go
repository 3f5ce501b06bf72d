package rubyhost_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// The benchmarks put each figure beside the same work done by a child ruby on
// a pipe, in one run: on a noisy machine only the ratio means something. The
// number of Ruby threads is that of the process's one host, so the figures
// for 1 thread come from a child process. docs/performance.md says how to run
// them and what they were.

// pipe is a child ruby that is spoken to in JSON lines.
type pipe struct {
	in      *bufio.Writer
	mu      sync.Mutex
	waiting map[int]chan json.RawMessage
	next    int
	close   func() error
}

func startPipe(t testing.TB, class, source string) *pipe {
	t.Helper()
	command := exec.Command("ruby", "testdata/pipe_child.rb", source, class)
	stdin, err := command.StdinPipe()
	require.NoError(t, err)
	stdout, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	p := &pipe{in: bufio.NewWriter(stdin), waiting: map[int]chan json.RawMessage{}}
	p.close = func() error {
		if err := stdin.Close(); err != nil {
			return err
		}
		return command.Wait()
	}
	go p.read(stdout)
	return p
}

func (p *pipe) read(r io.Reader) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		var answer struct {
			ID     int
			Result json.RawMessage
		}
		if json.Unmarshal(lines.Bytes(), &answer) != nil {
			return
		}
		p.mu.Lock()
		c := p.waiting[answer.ID]
		delete(p.waiting, answer.ID)
		p.mu.Unlock()
		c <- answer.Result
	}
}

func (p *pipe) call(s *rubyhost.Step) (json.RawMessage, error) {
	c := make(chan json.RawMessage, 1)
	p.mu.Lock()
	p.next++
	line := []any{p.next, string(s.Task), string(s.Context), string(s.Step), string(s.Config), string(s.Steps)}
	p.waiting[p.next] = c
	p.mu.Unlock()
	for _, r := range s.Results {
		line = append(line, r.Step, string(r.JSON))
	}
	document, err := json.Marshal(line)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	_, err = p.in.Write(append(document, '\n'))
	if err == nil {
		err = p.in.Flush()
	}
	p.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return <-c, nil
}

// each calls f n times from so many goroutines.
func each(callers, n int, f func() error) error {
	var all sync.WaitGroup
	errs := make(chan error, callers)
	for g := range callers {
		all.Add(1)
		go func() {
			defer all.Done()
			for i := g; i < n; i += callers {
				if err := f(); err != nil {
					errs <- err
					return
				}
			}
		}()
	}
	all.Wait()
	close(errs)
	return <-errs
}

func emptyStep() *rubyhost.Step {
	return &rubyhost.Step{Task: []byte(`{}`), Context: []byte(`{}`), Step: []byte(`{}`), Config: []byte(`{}`), Steps: []byte(`[]`)}
}

// taskStep is a 1.4 KB task with the results of three dependencies.
func taskStep() *rubyhost.Step {
	item := `{"sku":"SKU-%d","quantity":2,"price_cents":1999,"name":"An article of some kind"}`
	var items []string
	for i := range 4 {
		items = append(items, fmt.Sprintf(item, i))
	}
	s := aStep()
	s.Context = json.RawMessage(`{"order_id":12345,"customer":{"id":77,"email":"a@example.com"},"items":[` + strings.Join(items, ",") + `]}`)
	s.Results = []rubyhost.Result{
		{Step: "validate", JSON: json.RawMessage(`{"valid":true,"checked_at":"2026-11-23T04:05:06Z","warnings":[],"lines":[1,2,3,4]}`)},
		{Step: "reserve", JSON: json.RawMessage(`{"total":7996,"reservation":"R-1234567890","lines":[{"sku":"SKU-0","bin":"A1"},{"sku":"SKU-1","bin":"A2"},{"sku":"SKU-2","bin":"B1"}]}`)},
		{Step: "score", JSON: json.RawMessage(`{"fraud":0.0123,"reasons":[],"model":"v12","features":{"a":1.5,"b":2.5,"c":3.5,"d":[1,2,3]}}`)},
	}
	return s
}

func BenchmarkEmpty(b *testing.B) {
	benchmarkBoth(b, "nil", emptyStep())
}

// taskBody is the handler that gets taskStep.
const taskBody = `{
	"order_id" => task.context["order_id"],
	"total" => sequence.find_step_by_name("reserve").results["total"],
	"status" => "charged", "note" => "x" * 180
}`

func BenchmarkTask(b *testing.B) {
	benchmarkBoth(b, taskBody, taskStep())
}

func benchmarkBoth(b *testing.B, body string, step *rubyhost.Step) {
	h := processBody(b, body)
	p := startPipe(b, h.Class(), fmt.Sprintf("class %s < Tasker::StepHandler::Base; def process(task, sequence, step)\n%s\nend; end", h.Class(), body))
	b.Cleanup(func() { require.NoError(b, p.close()) })
	embedded := func() error { _, err := h.Run(context.Background(), step); return err }
	piped := func() error { _, err := p.call(step); return err }
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			require.NoError(b, each(callers, 2000, embedded))
			require.NoError(b, each(callers, 2000, piped))
			var ours, theirs []time.Duration
			for b.Loop() {
				ours = append(ours, timed(b, callers, 20_000, embedded))
				theirs = append(theirs, timed(b, callers, 4000, piped))
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(median(ours).Nanoseconds()), "embedded-ns")
			b.ReportMetric(float64(median(theirs).Nanoseconds()), "pipe-ns")
			b.ReportMetric(float64(median(theirs))/float64(median(ours)), "pipe/embedded")
		})
	}
}

// timed returns the time for each of n calls.
func timed(b *testing.B, callers, n int, f func() error) time.Duration {
	began := time.Now()
	require.NoError(b, each(callers, n, f))
	return time.Since(began) / time.Duration(n)
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// Boot, and then to the first answer, each time in a process of its own; beside
// it a plain ruby that loads the library.
func BenchmarkBoot(b *testing.B) {
	var boots, answers, rubies []time.Duration
	for b.Loop() {
		out, err := inChild(b, "boot time")
		require.NoError(b, err, out)
		var boot, answer time.Duration
		_, err = fmt.Sscan(out, (*int64)(&boot), (*int64)(&answer))
		require.NoError(b, err, out)
		boots, answers = append(boots, boot), append(answers, answer)
		began := time.Now()
		loaded, err := exec.Command("ruby", "-Iruby/lib", "-rtasker", "-e", "Gem::VERSION").CombinedOutput()
		require.NoError(b, err, string(loaded))
		rubies = append(rubies, time.Since(began))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(median(boots).Microseconds())/1000, "boot-ms")
	b.ReportMetric(float64(median(answers).Microseconds())/1000, "answer-ms")
	b.ReportMetric(float64(median(rubies).Microseconds())/1000, "ruby-ms")
}

// One handler computes without end while others wait 1 ms each.
func BenchmarkIOBesideAHog(b *testing.B) {
	if host.Stats().Threads < 2 {
		b.Skip("one thread: the hog has it")
	}
	hog := processBody(b, "loop { }")
	waiter := processBody(b, "sleep 0.001")
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = hog.Run(ctx, emptyStep())
	}()
	var times []time.Duration
	for b.Loop() {
		began := time.Now()
		_, err := waiter.Run(context.Background(), emptyStep())
		require.NoError(b, err)
		times = append(times, time.Since(began))
	}
	cancel()
	<-ended
	b.ReportMetric(float64(median(times).Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1000, "p99-ms")
}

// Handlers that wait 10 ms: eight threads beside one caller.
func BenchmarkIOOverlap(b *testing.B) {
	h := processBody(b, "sleep 0.01")
	call := func() error { _, err := h.Run(context.Background(), emptyStep()); return err }
	var one, eight []time.Duration
	for b.Loop() {
		one = append(one, timed(b, 1, 20, call))
		eight = append(eight, timed(b, 8, 160, call))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(median(one))/float64(median(eight)), "overlap")
}
