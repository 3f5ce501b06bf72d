package rubyhost_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"time"

	"github.com/cockroachdb/errors"

	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// bootAndRun is a whole program: it boots Ruby, loads the handlers of a folder,
// runs one, and ends Ruby.
func bootAndRun() {
	ctx := context.Background()
	host, err := rubyhost.Boot(rubyhost.Options{
		Threads: 4,               // for handlers that wait at the same time
		Grace:   5 * time.Second, // for handlers that are interrupted
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := host.LoadDir(ctx, "testdata/handlers"); err != nil {
		log.Fatal(err)
	}
	pack, err := host.Handler(ctx, "ExampleShop::Pack")
	if err != nil {
		log.Fatal(err)
	}
	results, err := pack.Run(ctx, &rubyhost.Step{
		Task:    []byte(`{"task_id": 1, "name": "order"}`),
		Context: []byte(`{"items": 3}`),
		Step:    []byte(`{"name": "pack", "attempts": 1}`),
		Config:  []byte(`{}`),
		Steps:   []byte(`[{"name": "pack"}]`),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(results))
	if err := host.Close(); err != nil {
		log.Fatal(err)
	}
}

func ExampleBoot() {
	inItsOwnProcess("bootAndRun")
	// Output: {"grams":750}
}

// closeAndAsk shows what a host says that was closed.
func closeAndAsk() {
	ctx := context.Background()
	host, err := rubyhost.Boot(rubyhost.Options{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(host.Close()) // it waits for calls under way, and runs Ruby's at_exit blocks
	_, err = host.Eval(ctx, "1 + 1", "example.rb")
	fmt.Println(errors.Is(err, rubyhost.ErrClosed))
	_, err = rubyhost.Boot(rubyhost.Options{})
	fmt.Println(errors.Is(err, rubyhost.ErrAlreadyBooted))
}

func ExampleHost_Close() {
	inItsOwnProcess("closeAndAsk")
	// Output:
	// <nil>
	// true
	// true
}

// logAsJSON shows where the output of Ruby code goes: to the Logger, with the
// attributes of the call.
func logAsJSON() {
	withoutTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	host, err := rubyhost.Boot(rubyhost.Options{
		Logger: slog.New(slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTime})),
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx := rubyhost.WithLogAttrs(context.Background(), slog.Int("task", 42), slog.String("step", "charge"))
	if _, err := host.Eval(ctx, `puts "charging"`, "example.rb"); err != nil {
		log.Fatal(err)
	}
	if err := host.Close(); err != nil {
		log.Fatal(err)
	}
}

func ExampleWithLogAttrs() {
	inItsOwnProcess("logAsJSON")
	// Output: {"level":"INFO","msg":"charging","task":42,"step":"charge"}
}

// programs are the programs above, which boot Ruby.
var programs = map[string]func(){"bootAndRun": bootAndRun, "closeAndAsk": closeAndAsk, "logAsJSON": logAsJSON}

const programVariable = "RUBYHOST_EXAMPLE"

func init() {
	if program := programs[os.Getenv(programVariable)]; program != nil {
		program()
		os.Exit(0)
	}
}

// inItsOwnProcess runs one of the programs and prints what it prints: this
// process has booted Ruby already, and can do so once.
func inItsOwnProcess(name string) {
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), programVariable+"="+name)
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(string(out))
}
