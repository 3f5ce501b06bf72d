package rubyhost_test

import (
	"context"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// inChild runs one of children in a process of its own.
func inChild(t testing.TB, name string, env ...string) (string, error) {
	t.Helper()
	require.Contains(t, children, name)
	limit := 10 * time.Minute // only a defect reaches it
	if long, err := time.ParseDuration(os.Getenv("RUBYHOST_INTERRUPTS_FOR")); err == nil {
		limit += long
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	command := exec.CommandContext(ctx, os.Args[0])
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a test of signals to the group is the child's own affair
	command.Env = append(os.Environ(), append(env, childVariable+"="+name)...)
	out, err := command.CombinedOutput()
	return string(out), err
}

func init() {
	children["boot and close"] = func() {
		h := mustBoot(rubyhost.Options{Threads: 2})
		_, err := h.Eval(context.Background(), `at_exit { STDOUT.puts "at_exit ran" }; nil`, "child.rb")
		must(err)
		must(h.Close())
		must(h.Close())
		_, err = h.Eval(context.Background(), "1", "child.rb")
		fmt.Println("after close:", err)
		fmt.Println("health:", h.Health(context.Background()))
		_, err = rubyhost.Boot(rubyhost.Options{})
		fmt.Println("again:", err)
	}
	children["boot"] = func() {
		h, err := rubyhost.Boot(rubyhost.Options{Threads: 1})
		if err != nil {
			fmt.Printf("error: %v\n", err)
			return
		}
		out, err := h.Eval(context.Background(), `[$0, __FILE__, defined?(Gem) && 1, defined?(EARLY), "é".encoding.name, Encoding.default_external.name, 5.then { |x| x }]`, "child.rb")
		must(err)
		fmt.Println(string(out))
		must(h.Close())
	}
	children["boot time"] = func() {
		began := time.Now()
		h := mustBoot(rubyhost.Options{})
		boot := time.Since(began)
		_, err := h.Eval(context.Background(), "Gem::VERSION", "child.rb")
		must(err)
		fmt.Println(boot.Nanoseconds(), time.Since(began).Nanoseconds())
		must(h.Close())
	}
	children["idle"] = func() {
		h := mustBoot(rubyhost.Options{})
		_, err := h.Eval(context.Background(), "1", "child.rb")
		must(err)
		fmt.Println(int(idleTime(time.Second).Milliseconds()))
		must(h.Close())
	}
	children["stuck in C"] = func() {
		h := mustBoot(rubyhost.Options{Threads: 2, Grace: 200 * time.Millisecond})
		must(h.Require(context.Background(), "openssl"))
		ctx := endsWhen(func() bool { return strings.Contains(fmt.Sprint(rubyhost.LockHolder()), "pbkdf2_hmac") })
		// Minutes of C that neither gives the GVL up nor looks at interrupts.
		_, err := h.Eval(ctx, `OpenSSL::KDF.pbkdf2_hmac("p", salt: "s", iterations: 2_000_000_000, length: 32, hash: "sha256")`, "stuck.rb")
		fmt.Println("call:", err)
		var stuck *rubyhost.InterruptedError
		fmt.Println("holder:", errors.As(err, &stuck) && len(stuck.Holder) > 1 && strings.HasPrefix(stuck.Holder[0], "stuck.rb:1:in"), stuck.Holder)
		healthCtx, cancelHealth := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancelHealth()
		fmt.Println("health:", h.Health(healthCtx))
		fmt.Println("close:", h.Close())
		os.Exit(0)
	}
	children["abandoned"] = func() {
		rubyhost.WaitForPlaces(time.Minute)
		h := mustBoot(rubyhost.Options{Threads: 1, Grace: 2 * time.Second}) // Close has to end within it, too
		ctx := endsWhen(func() bool { _, err := os.Stat(os.Getenv("TEST_BEGUN")); return err == nil })
		// Neither raise nor kill gets through, but the GVL is given up.
		_, err := h.Eval(ctx, `Thread.handle_interrupt(Object => :never) { File.write(ENV["TEST_BEGUN"], ""); sleep 0.01 while File.exist?(ENV["TEST_BEGUN"]) }; 1`, "masked.rb")
		fmt.Println("call:", err)
		var stuck *rubyhost.InterruptedError
		fmt.Println("place:", errors.As(err, &stuck) && len(stuck.Holder) == 0, stuck.Backtrace[0])
		out, err := h.Eval(context.Background(), "2", "next.rb")
		fmt.Println("next:", string(out), err, "abandoned:", h.Stats().Abandoned)
		must(os.Remove(os.Getenv("TEST_BEGUN"))) // the abandoned one ends
		for h.Stats().Abandoned > 0 || h.Stats().Late == 0 {
			time.Sleep(time.Millisecond)
		}
		fmt.Printf("came back: threads %d late %d respawns %d\n", h.Stats().Threads, h.Stats().Late, h.Stats().Respawns)
		must(h.Close())
	}
	children["no more threads"] = func() {
		h := mustBoot(rubyhost.Options{Threads: 4})
		// From now on Ruby refuses to start a thread, as it does at a limit of the system's.
		_, err := h.Eval(context.Background(), "Kernel.instance_method(:freeze).bind_call(Thread.main.group); nil", "freeze.rb")
		must(err)
		for alive := 4; alive > 1; alive-- {
			fmt.Println(alive, "alive:", h.Health(context.Background()))
			_, err := h.Eval(context.Background(), "Thread.exit", "exit.rb")
			fmt.Println("call:", err)
			for h.Stats().Threads >= alive {
				time.Sleep(time.Millisecond)
			}
		}
		_ = until(func() bool { return h.Health(context.Background()) != nil })
		fmt.Println("at last:", h.Health(context.Background()))
		fmt.Println("idle:", idleTime(300*time.Millisecond) < 100*time.Millisecond)
		out, err := h.Eval(context.Background(), "1", "last.rb")
		fmt.Println("the last one works:", string(out), err)
		must(h.Close())
	}
	children["bug"] = func() {
		h := mustBoot(rubyhost.Options{Threads: 1})
		_, err := h.Eval(context.Background(), `require "fiddle"; Fiddle::Pointer.new(8)[0]`, "crash.rb")
		fmt.Println("survived:", err)
	}
	children["gems"] = func() {
		h, err := rubyhost.Boot(rubyhost.Options{Threads: 1, Gemfile: os.Getenv("TEST_GEMFILE"), LoadPath: []string{os.Getenv("TEST_LOAD_PATH")}})
		if err != nil {
			fmt.Printf("error: %v\n", err)
			return
		}
		out, err := h.Eval(context.Background(), `
			require "of_the_gem"; require "beside"
			[OF_THE_GEM, BESIDE, Bundler.default_gemfile.to_s == ENV["TEST_GEMFILE"], begin; require "faraday"; rescue LoadError; "not in the Gemfile"; end]`, "child.rb")
		must(err)
		fmt.Println(string(out))
		must(h.Close())
	}
	children["yjit"] = func() {
		memory, err := strconv.Atoi(os.Getenv("TEST_YJIT_MEMORY"))
		must(err)
		h := mustBoot(rubyhost.Options{Threads: 1, YJIT: true, YJITMemoryMiB: memory})
		code, err := h.Eval(context.Background(), `
			5000.times { |i| eval "def m#{i}(a) = a.to_s.size + a * 2 + (a > 3 ? 1 : 2)" }
			60.times { 5000.times { |i| send("m#{i}", i) } }
			stats = defined?(RubyVM::YJIT) ? RubyVM::YJIT.runtime_stats : { code_region_size: 0 }
			stats[:code_region_size] || stats[:inline_code_size] + stats[:outlined_code_size]`, "child.rb")
		must(err)
		bytes, err := strconv.Atoi(string(code))
		must(err)
		stats, err := h.GCStats(context.Background())
		must(err)
		fmt.Printf("yjit %v, KB of code %d, rss MB %d\n", stats.YJIT, bytes>>10, residentKB()/1024)
		must(h.Close())
	}
	children["passes output"] = func() {
		h := mustBoot(rubyhost.Options{PassOutput: true})
		_, err := h.Eval(context.Background(), `puts "plainly"; warn "plainly too"`, "child.rb")
		must(err)
		must(h.Close())
	}
}

// endsWhen returns a context that ends when the condition holds.
func endsWhen(holds func() bool) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer cancel()
		must(until(holds))
	}()
	return ctx
}

func mustBoot(o rubyhost.Options) *rubyhost.Host {
	h, err := rubyhost.Boot(o)
	must(err)
	return h
}

func must(err error) {
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func TestBootTwice(t *testing.T) {
	_, err := rubyhost.Boot(rubyhost.Options{})
	require.ErrorIs(t, err, rubyhost.ErrAlreadyBooted)
	requireHealthy(t)
}

func TestBootRefusesBadOptions(t *testing.T) {
	for _, o := range []rubyhost.Options{
		{Threads: -1}, {Threads: 257}, {Threads: 8, QueueSize: 4}, {QueueSize: 1 << 17}, {Grace: -time.Second}, {YJIT: true, YJITMemoryMiB: -1}, {YJIT: true, YJITMemoryMiB: 1025}, {YJITMemoryMiB: 16}, {MaxResultBytes: -1}, {MaxResultBytes: 1023}, {MaxResultBytes: 1<<30 + 1},
	} {
		_, err := rubyhost.Boot(o)
		require.Error(t, err)
		require.NotErrorIs(t, err, rubyhost.ErrAlreadyBooted)
	}
}

func TestBootAndClose(t *testing.T) {
	t.Parallel()
	out, err := inChild(t, "boot and close")
	require.NoError(t, err, out)
	require.Contains(t, out, "at_exit ran")
	require.Contains(t, out, "after close: rubyhost: the host is closed")
	require.Contains(t, out, "health: rubyhost: the interpreter is not healthy")
	require.Contains(t, out, "again: rubyhost: Ruby was already booted")
}

func TestBootEnvironment(t *testing.T) {
	t.Parallel()
	out, err := inChild(t, "boot")
	require.NoError(t, err, out)
	require.Equal(t, `["tasker-rb","child.rb",1,null,"UTF-8","UTF-8",5]`+"\n", out)

	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "early.rb"), []byte("EARLY = 1"), 0o600))
	out, err = inChild(t, "boot", "RUBYLIB="+dir, "RUBYOPT=-rearly")
	require.NoError(t, err, out)
	require.Contains(t, out, `"constant"`)

	out, err = inChild(t, "boot", "RUBYOPT=-rno_such_feature_anywhere")
	require.NoError(t, err, out)
	require.Contains(t, out, "error: rubyhost: Ruby did not boot")
	require.Contains(t, out, "no_such_feature_anywhere")

	out, err = inChild(t, "boot", "LANG=C", "LC_ALL=C")
	require.NoError(t, err, out)
	require.Contains(t, out, `"UTF-8","UTF-8"`)

	out, err = inChild(t, "boot", "HOME=/nonexistent", "XDG_CACHE_HOME=/nonexistent/cache")
	require.NoError(t, err, out)
	require.Contains(t, out, "tasker-rb")
}

func TestBootWithAGemfile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"Gemfile":                `gem "of_the_gem", path: "gem"`,
		"gem/of_the_gem.gemspec": `Gem::Specification.new { |s| s.name = "of_the_gem"; s.version = "1"; s.summary = "-"; s.authors = ["-"]; s.files = ["lib/of_the_gem.rb"] }`,
		"gem/lib/of_the_gem.rb":  `OF_THE_GEM = 1`,
		"lib/beside.rb":          `BESIDE = 2`,
	} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	}
	out, err := inChild(t, "gems", "TEST_GEMFILE="+filepath.Join(dir, "Gemfile"), "TEST_LOAD_PATH="+filepath.Join(dir, "lib"))
	require.NoError(t, err, out)
	require.Contains(t, out, `[1,2,true,"not in the Gemfile"]`)

	out, err = inChild(t, "gems", "TEST_GEMFILE="+filepath.Join(dir, "nowhere"))
	require.NoError(t, err, out)
	require.Contains(t, out, "error: rubyhost: the Gemfile")
}

func TestBootWithYJIT(t *testing.T) {
	built := eval(t, "defined?(RubyVM::YJIT) ? true : false") == "true"
	t.Parallel()
	var code, mb [2]int
	for i, memory := range []string{"1", "0"} {
		out, err := inChild(t, "yjit", "TEST_YJIT_MEMORY="+memory)
		require.NoError(t, err, out)
		if !built {
			require.Contains(t, out, "built without YJIT", "Ruby says so")
			require.Contains(t, out, "yjit false,", "and runs on")
			continue
		}
		_, err = fmt.Sscanf(out, "yjit true, KB of code %d, rss MB %d", &code[i], &mb[i])
		require.NoError(t, err, out)
	}
	if built {
		require.LessOrEqual(t, code[0], 1024, "within a MiB")
		require.Greater(t, code[1], 2048, "there is more code than a MiB holds")
		require.Less(t, mb[1], 150, "the default is small")
	}
}

func TestIdleHostSleeps(t *testing.T) {
	out, err := inChild(t, "idle")
	require.NoError(t, err, out)
	var ms int
	_, err = fmt.Sscan(out, &ms)
	require.NoError(t, err)
	require.LessOrEqual(t, ms, 20, "CPU milliseconds in a second of idling")
}

func TestStuckInCIsUnhealthy(t *testing.T) {
	t.Parallel()
	out, err := inChild(t, "stuck in C")
	require.NoError(t, err, out)
	require.Contains(t, out, "call: the handler did not stop within")
	require.Contains(t, out, "and Ruby is held up at stuck.rb:1:in")
	require.Contains(t, out, "holder: true")
	require.Contains(t, out, "pbkdf2_hmac")
	require.Contains(t, out, "health: Ruby did not answer in time")
	require.Contains(t, out, "close: rubyhost: Ruby did not end within")
}

func TestThreadThatDoesNotStopIsAbandoned(t *testing.T) {
	t.Parallel()
	out, err := inChild(t, "abandoned", "TEST_BEGUN="+filepath.Join(t.TempDir(), "begun"))
	require.NoError(t, err, out)
	require.Contains(t, out, "call: the handler did not stop within")
	require.Regexp(t, "its thread was abandoned at masked.rb:1:in", out)
	require.Contains(t, out, "place: true masked.rb:1:in")
	require.Contains(t, out, "next: 2 <nil> abandoned: 1")
	require.Contains(t, out, "came back: threads 1 late 1 respawns 1")
}

func TestThreadsThatCannotBeStartedAreUnhealthy(t *testing.T) {
	t.Parallel()
	out, err := inChild(t, "no more threads")
	require.NoError(t, err, out)
	require.Contains(t, out, "4 alive: <nil>")
	require.Contains(t, out, "call: rubyhost: the handler's thread was killed")
	require.Contains(t, out, "at last: 1 of 4 threads run, and no further one can be started")
	require.Contains(t, out, "idle: true")
	require.Contains(t, out, "the last one works: 1 <nil>")
	require.Equal(t, 1, strings.Count(out, "ThreadError"), "said once: "+out)
}

// No embedder can go on after a fault in C code; Ruby's report says where it was.
func TestSegmentationFaultEndsWithRubysReport(t *testing.T) {
	t.Parallel()
	out, err := inChild(t, "bug")
	require.Error(t, err)
	require.Contains(t, out, "[BUG] Segmentation fault at 0x0000000000000008")
	require.Contains(t, out, "crash.rb:1")
	require.NotContains(t, out, "survived")
	require.NotContains(t, out, "goroutine 1")
}

func TestPassOutput(t *testing.T) {
	t.Parallel()
	out, err := inChild(t, "passes output")
	require.NoError(t, err, out)
	require.ElementsMatch(t, []string{"plainly", "plainly too"}, strings.Split(strings.TrimSpace(out), "\n"))
}

// A program that embeds Ruby starts where there is none, and Boot says so.
func TestProgramDoesNotNeedLibrubyToStart(t *testing.T) {
	file, err := elf.Open(os.Args[0])
	require.NoError(t, err)
	defer func() { require.NoError(t, file.Close()) }()
	needed, err := file.ImportedLibraries()
	require.NoError(t, err)
	for _, library := range needed {
		require.NotContains(t, library, "libruby", "a function is missing from the list in libruby.c")
	}
	// A weak or lazily bound symbol needs no library at the start, and fails later.
	symbols, err := file.DynamicSymbols()
	require.NoError(t, err)
	var missing []string
	for _, s := range symbols {
		if s.Section == elf.SHN_UNDEF && regexp.MustCompile(`^(rb|ruby|onig|st|Init)_`).MatchString(s.Name) {
			missing = append(missing, s.Name)
		}
	}
	require.NotEmpty(t, symbols)
	require.Empty(t, missing, "functions are missing from the list in libruby.c")
}

func residentKB() int {
	status, err := os.ReadFile("/proc/self/status")
	must(err)
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			must(err)
			return n
		}
	}
	return 0
}
