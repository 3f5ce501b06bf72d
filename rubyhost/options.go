package rubyhost

import (
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/cockroachdb/errors"
)

// Options configures [Boot]. The zero value boots CRuby with eight worker
// threads and logs to [slog.Default].
type Options struct {
	// Threads is the number of Ruby worker threads, 1 to 256. Default 8.
	// Ruby threads overlap waiting (I/O, sleep, SQL), not computing.
	Threads int

	// QueueSize is how many calls may be under way or waiting at once, up to
	// 65536. A further call waits in Go until there is room or its context
	// ends. Default 1024, at least Threads.
	QueueSize int

	// Grace is how long a call may go on running Ruby code, such as its ensure
	// blocks, after its context has ended. Then its thread is abandoned and
	// replaced. Halfway through, the thread is killed. Default 5 s. While the whole
	// process stands still, the grace does not pass.
	Grace time.Duration

	// MaxResultBytes bounds the JSON of a handler's results, 1024 to 1 GiB.
	// Larger results are a permanent error that names the limit and the place.
	// A result that is written, and has not been taken over by Go, uses as much
	// memory again. Default 64 MiB.
	MaxResultBytes int

	// Spin is how long a thread that ran out of work looks for more before it
	// sleeps. It makes a lone caller fast, at the cost of that much CPU after
	// each burst. Default 40 µs; 0 on a machine with one CPU; negative turns it
	// off.
	Spin time.Duration

	// YJIT turns on CRuby's compiler. A Ruby that was built without it prints a
	// warning and runs on; [GCStats] says whether it is on.
	YJIT bool

	// YJITMemoryMiB bounds the memory of YJIT in MiB, 1 to 1024. Code that does not
	// fit is interpreted. Before CRuby 3.4 it bounds the machine code, since then
	// the machine code with YJIT's notes about it. Default 16, and 64 since CRuby 3.4.
	YJITMemoryMiB int

	// Gemfile is a Bundler file. Only its gems can be required. It is read
	// before anything else. The process's BUNDLE_GEMFILE is set to it, so that
	// Ruby programs started by handlers use it too.
	Gemfile string

	// LoadPath lists the folders that require searches first.
	LoadPath []string

	// RubyOptions are further options of the interpreter, such as "-W:no-deprecated".
	RubyOptions []string

	// Program is the name that handlers see as $0 and in the process list.
	// Default "tasker-rb".
	Program string

	// Logger receives what handlers log and print, and the host's own messages.
	// Default [slog.Default].
	Logger *slog.Logger

	// PassOutput leaves $stdout and $stderr of the handlers alone. By default
	// their lines go to Logger, with the attributes of the call.
	PassOutput bool

	// AllOutput also sends to Logger what goes past $stdout and $stderr. What is written
	// to STDOUT and STDERR comes as from $stdout and $stderr. So do the lines of children,
	// with the attribute from, which is "stdout" or "stderr", and with none of the call.
	// A child that outlives the host cannot print any more: it gets SIGPIPE.
	//
	// Children are those of fork, spawn, system, backticks, IO.popen and Open3. What C
	// libraries and Ractors write, and the report of a crash, goes to the process's own
	// descriptors. AllOutput cannot be had with PassOutput.
	AllOutput bool

	// Terminal says that a person is at the process's terminal, and that Ruby code may
	// have it: a console, a debugger. It implies PassOutput. A trap of INT is kept, and
	// [Host.Interrupt] calls it. Traps of the terminal's other signals, such as WINCH, are
	// refused without a warning, because line editors set them at each prompt. If the
	// person quits at a prompt of irb or of the gem debug, the process gets SIGINT.
	Terminal bool
}

const (
	maxThreads   = 256
	maxQueueSize = 1 << 16

	maxYJITMemoryMiB = 1 << 10

	minResultBytes = 1 << 10
	maxResultBytes = 1 << 30 // PostgreSQL stores no larger value
)

func (o Options) withDefaults() (Options, error) {
	if o.Threads == 0 {
		o.Threads = 8
	}
	if o.QueueSize == 0 {
		o.QueueSize = max(1024, o.Threads)
	}
	if o.MaxResultBytes == 0 {
		o.MaxResultBytes = 64 << 20
	}
	if o.Grace == 0 {
		o.Grace = 5 * time.Second
	}
	if o.Spin == 0 && runtime.NumCPU() > 1 {
		o.Spin = 40 * time.Microsecond
	}
	if o.Program == "" {
		o.Program = "tasker-rb"
	}
	o.PassOutput = o.PassOutput || o.Terminal
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Gemfile != "" {
		path, err := filepath.Abs(o.Gemfile)
		if err == nil {
			_, err = os.ReadFile(path) // a folder is one error of several
		}
		if err != nil {
			return o, errors.WithHint(errors.Wrap(err, "rubyhost: the Gemfile"), "Set Options.Gemfile to the path of a Gemfile that you may read.")
		}
		o.Gemfile = path
	}
	switch {
	case o.Threads < 1 || o.Threads > maxThreads:
		return o, errors.WithHint(errors.Newf("rubyhost: %d threads", o.Threads), "Options.Threads must be between 1 and 256.")
	case o.QueueSize < o.Threads || o.QueueSize > maxQueueSize:
		return o, errors.WithHint(errors.Newf("rubyhost: a queue of %d for %d threads", o.QueueSize, o.Threads),
			"Options.QueueSize must be at least Threads and at most 65536.")
	case o.MaxResultBytes < minResultBytes || o.MaxResultBytes > maxResultBytes:
		return o, errors.WithHint(errors.Newf("rubyhost: results of at most %d bytes", o.MaxResultBytes),
			"Options.MaxResultBytes must be between 1024 and 1073741824 (1 GiB).")
	case o.YJITMemoryMiB < 0 || o.YJITMemoryMiB > maxYJITMemoryMiB:
		return o, errors.WithHint(errors.Newf("rubyhost: %d MiB of memory for YJIT", o.YJITMemoryMiB),
			"Options.YJITMemoryMiB must be between 1 and 1024.")
	case o.YJITMemoryMiB > 0 && !o.YJIT:
		return o, errors.WithHint(errors.Newf("rubyhost: %d MiB of memory for YJIT, which is off", o.YJITMemoryMiB),
			"Set Options.YJIT too.")
	case o.AllOutput && o.PassOutput:
		return o, errors.WithHint(errors.New("rubyhost: output is both passed and caught"), "Set one of Options.AllOutput and Options.PassOutput, not both.")
	case o.Grace < 0:
		return o, errors.WithHint(errors.Newf("rubyhost: a grace of %v", o.Grace), "Options.Grace must be positive.")
	}
	return o, nil
}
