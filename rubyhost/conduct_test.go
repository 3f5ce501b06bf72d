package rubyhost_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// What a handler may do to its host, and the result. Each row ends as
// the step's own error or as a harmless success, with the host healthy. The
// table in docs/rubyhost.md is this one.
func TestConduct(t *testing.T) {
	for _, c := range []struct {
		name  string
		body  string // of process
		class string // of the error; empty when the step succeeds
		text  string // in the message, or the result
		is    error
		alone bool // it reaches every step by nature, or other steps undo it
	}{
		// Leaving.
		{name: "exit", body: "exit 3", class: "SystemExit", text: "exit"},
		{name: "exit!", body: "exit!", class: "Tasker::Host::ForbiddenError", text: "exit! is not possible"},
		{name: "Process.exit!", body: "Process.exit!(1)", class: "Tasker::Host::ForbiddenError", text: "exit!"},
		{name: "Kernel.exit!", body: "Kernel.exit!(1)", class: "Tasker::Host::ForbiddenError", text: "exit!"},
		{name: "abort", body: "abort 'enough'", class: "SystemExit", text: "enough"},
		{name: "at_exit", body: "at_exit { }; :ok", text: `"ok"`},
		{name: "exec", body: "exec 'true'", class: "Tasker::Host::ForbiddenError", text: "exec"},
		{name: "Process.exec", body: "Process.exec 'true'", class: "Tasker::Host::ForbiddenError", text: "exec"},
		{name: "Process.daemon", body: "Process.daemon", class: "Tasker::Host::ForbiddenError", text: "daemon"},

		// Jumping.
		{name: "throw", body: "throw :nowhere", class: "UncaughtThrowError", text: "nowhere"},
		{name: "catch and throw", body: "catch(:here) { throw :here, 5 }", text: "5"},
		{name: "orphan break", body: "pr = proc { break 1 }; pr.call", class: "LocalJumpError", text: "break"},
		{name: "orphan return", body: "pr = Object.new.instance_eval { def m; proc { return 1 }; end; m }; pr.call", class: "LocalJumpError", text: "return"},
		{name: "return from a proc", body: "[1].each { return 7 }", text: "7"},

		// Exceptions that are not errors.
		{name: "raise Exception", body: "raise Exception, 'bare'", class: "Exception", text: "bare"},
		{name: "Interrupt", body: "raise Interrupt", class: "Interrupt"},
		{name: "SignalException", body: "raise SignalException, 'TERM'", class: "SignalException", text: "SIGTERM"},
		{name: "NoMemoryError", body: "raise NoMemoryError", class: "NoMemoryError"},
		{name: "a huge allocation", body: "'x' * (2**62)", class: "ArgumentError|NoMemoryError|RangeError"},
		{name: "NotImplementedError", body: "raise NotImplementedError, 'later'", class: "NotImplementedError", text: "later"},
		{name: "SyntaxError", body: "eval '1 +'", class: "SyntaxError", text: "eval"},
		{name: "LoadError", body: "require 'no/such/feature'", class: "LoadError", text: "no/such/feature"},
		{name: "frozen", body: "raise 'frozen'.freeze", class: "RuntimeError", text: "frozen"},
		{name: "anonymous class", body: "raise Class.new(StandardError), 'who'", class: "", text: "", is: errAny},
		{name: "message raises", body: "raise(Class.new(StandardError) { def message; raise 'again'; end; def self.name; 'M'; end })", is: errAny},
		{name: "message is no String", body: "raise(Class.new(StandardError) { def message; 5; end; def self.name; 'N'; end })", is: errAny},
		{name: "to_s raises", body: "raise(Class.new(StandardError) { def to_s; raise 'again'; end })", is: errAny},
		{name: "backtrace raises", body: "raise(Class.new(StandardError) { def backtrace; raise 'again'; end })", is: errAny},
		{name: "backtrace is no Array", body: "raise(Class.new(StandardError) { def backtrace; 5; end })", is: errAny},
		{name: "full_message raises", body: "raise(Class.new(StandardError) { def full_message(**) raise 'again'; end }, 'm')", is: errAny},
		{name: "class name raises", body: "raise(Class.new(StandardError) { def self.name; raise 'again'; end })", is: errAny},
		{name: "cause is itself", body: "e = RuntimeError.new('me'); begin; raise e; rescue => x; raise x, cause: nil; end", class: "RuntimeError", text: "me"},
		{name: "message in another encoding", body: `raise "caf\xE9".dup.force_encoding('ISO-8859-1')`, class: "RuntimeError", text: "café"},
		{name: "message of bytes", body: `raise "\xFF\x00x".b`, class: "RuntimeError"},
		{name: "message raises Interrupt", body: "raise(Class.new(StandardError) { def message; raise Interrupt; end })", is: errAny},
		{name: "message ends the thread", body: "raise(Class.new(StandardError) { def message; Thread.exit; end })", is: errAny},
		{name: "a subclass of SystemExit", body: "raise Class.new(SystemExit)", class: "SystemExit"},
		{name: "a message of 10 MB", body: `raise 'x' * 10_000_000`, class: "RuntimeError", text: "xxxxx"},

		// Running out of stack.
		{name: "recursion", body: "def deeper(n) = deeper(n + 1) + 1\ndeeper(0)", class: "SystemStackError", text: "stack level too deep"},
		{name: "recursion in C", body: "a = []; 100_000.times { a = [a] }; a.flatten.size; a.inspect.size", class: "SystemStackError", text: "stack level too deep"},
		{name: "recursion in a fiber", body: "def deeper2(n) = deeper2(n + 1) + 1\nFiber.new { deeper2(0) }.resume", class: "SystemStackError", text: "stack level too deep"},

		// Processes.
		{name: "bare fork", body: "fork", class: "Tasker::Host::ForbiddenError", text: "fork"},
		{name: "bare Process.fork", body: "Process.fork", class: "Tasker::Host::ForbiddenError", text: "fork"},
		{name: "fork with a block", body: "pid = fork { exit 5 }; Process.wait2(pid)[1].exitstatus", text: "5"},
		{name: "fork whose block raises", body: "pid = fork { $stderr = File.open(File::NULL, 'w'); STDERR.reopen(File::NULL); raise 'in the child' }; Process.wait2(pid)[1].exitstatus", text: "1"},
		{name: "fork whose block jumps", body: "pid = fork { throw :nowhere rescue nil; next }; Process.wait2(pid)[1].exitstatus", text: "0"},
		{name: "fork in a fork", body: "pid = fork { q = fork { exit 3 }; exit Process.wait2(q)[1].exitstatus }; Process.wait2(pid)[1].exitstatus", text: "3"},
		{name: "fork in a thread", body: "Thread.new { pid = fork { exit 2 }; Process.wait2(pid)[1].exitstatus }.value", text: "2"},
		{name: "exit! in a child", body: "pid = fork { exit!(3) }; Process.wait2(pid)[1].exitstatus", text: "3"},
		{name: "exec in a child", body: "pid = fork { exec 'exit 4' }; Process.wait2(pid)[1].exitstatus", text: "4"},
		{name: "trap in a child", body: "r, w = IO.pipe; pid = fork { trap('TERM') { exit!(6) }; w.write 'x'; sleep }; r.read(1); Process.kill(:TERM, pid); Process.wait2(pid)[1].exitstatus", text: "6"},
		{name: "output of a child", body: "r, w = IO.pipe; pid = fork { STDOUT.reopen(w); puts 'from the child' }; w.close; Process.wait(pid); r.read", text: `"from the child\n"`},
		{name: "log of a child", body: "r, w = IO.pipe; pid = fork { STDERR.reopen(w); Tasker.logger.info('logged') }; w.close; Process.wait(pid); r.read", text: `"logged\n"`},
		{name: "asking the host from a child", body: "pid = fork { begin; Tasker::Host.ask('any', ''); rescue Tasker::Host::ServiceError; exit 7; end }; Process.wait2(pid)[1].exitstatus", text: "7"},
		{name: "a request in a child", body: "pid = fork { begin; Tasker::Host.request(0, 1, ''); rescue Tasker::Host::ServiceError; exit 7; end }; Process.wait2(pid)[1].exitstatus", text: "7"},
		{name: "the serial in a child", body: "pid = fork { exit Tasker::Host.job_serial.zero? ? 7 : 1 }; Process.wait2(pid)[1].exitstatus", text: "7"},
		{name: "register in a child", body: "pid = fork { begin; Tasker::Host.register(1); rescue Tasker::Host::ServiceError; exit 7; end }; Process.wait2(pid)[1].exitstatus", text: "7"},
		{name: "IO.popen of itself", body: "IO.popen('-') { |io| io ? io.read : puts('in the child') }", text: `"in the child\n"`},
		{name: "IO.popen of itself without a block", body: "io = IO.popen('-'); unless io; puts 'in the child'; exit 3; end; [io.read, Process.wait2(io.pid)[1].exitstatus]", text: `["in the child\n",3]`},
		{name: "IO.popen of itself, and the child raises", body: "io = IO.popen('-'); raise 'in the child' unless io; Process.wait2(io.pid)[1].exitstatus", text: "1"},
		{name: "IO.popen of itself in a thread", body: "me = Process.pid; at_exit { STDOUT.syswrite('ran at_exit') if Process.pid != me }; Thread.new { io = IO.popen('-'); io ? io.read : puts('in the child') }.value", text: `"in the child\n"`},
		{name: "IO.popen of itself in a thread, and the child raises", body: "io = Thread.new { IO.popen('-').tap { |io| raise 'in the child' unless io } }.value; [io.read, Process.wait2(io.pid)[1].exitstatus]", text: `["",1]`},
		{name: "Process::Status.wait", body: "Process::Status.wait", class: "Tasker::Host::ForbiddenError", text: "any child"},
		{name: "wait for any child", body: "Process.wait", class: "Tasker::Host::ForbiddenError", text: "any child"},
		{name: "wait(-1)", body: "Process.wait(-1)", class: "Tasker::Host::ForbiddenError", text: "any child"},
		{name: "waitall", body: "Process.waitall", class: "Tasker::Host::ForbiddenError", text: "any child"},
		{name: "wait for nearly -1", body: "Process.wait(-1.5)", class: "Tasker::Host::ForbiddenError", text: "any child (-1)"},
		{name: "wait for a pid that changes", body: "pid = spawn('exit 4'); Process.wait2(Class.new { define_method(:to_int) { @other ? -1 : (@other = true) && pid } }.new)[1].exitstatus", text: "4"},
		{name: "waitpid for an object with to_int", body: "Process.waitpid2(Class.new { def to_int = -1; def positive? = true }.new)", class: "Tasker::Host::ForbiddenError", text: "any child (-1)"},
		{name: "Process.detach of any child", body: "Process.detach(-1)", class: "Tasker::Host::ForbiddenError", text: "any child (-1)"},
		{name: "spawn and wait", body: "pid = spawn('exit 4'); Process.wait(pid); $?.exitstatus", text: "4"},
		{name: "system", body: "system('exit 3'); $?.exitstatus", text: "3"},
		{name: "backticks", body: "`echo hello`", text: `"hello\n"`},
		{name: "Open3", body: "require 'open3'; Open3.capture3('cat; echo err >&2', stdin_data: 'in').then { |o, e, s| [o, e, s.success?] }", text: `["in","err\n",true]`},
		{name: "IO.popen", body: "IO.popen(['echo', 'hi'], &:read)", text: `"hi\n"`},
		{name: "Process.detach", body: "Process.detach(spawn('exit 6')).value.exitstatus", text: "6"},
		{name: "a killed child", body: "pid = spawn('sleep 60'); Process.kill(:TERM, pid); Process.wait2(pid)[1].termsig", text: "15"},
		{name: "trap", body: "trap('INT') { }", text: `"DEFAULT"`},
		{name: "trap CHLD", body: "trap('CHLD', 'IGNORE')", text: `"DEFAULT"`},
		{name: "trap of a signal that says it is another", body: "s = Class.new(String) { def to_s = 'EXIT'; def delete_prefix(*) = 'EXIT' }.new('CHLD'); [trap(s, 'IGNORE'), Process.wait(spawn('true')).positive?, Signal.trap(Class.new { def to_str = 'SIGCHLD'; def to_s = 'EXIT' }.new, 'DEFAULT')]", text: `["DEFAULT",true,"DEFAULT"]`},
		{name: "what Ruby says of a bad trap", body: "[:NO, Object.new, 999, 1.5, nil].map { |s| trap(s) { } rescue $!.class.name }", text: `["ArgumentError","ArgumentError","ArgumentError","ArgumentError","ArgumentError"]`},
		{name: "a signal to the host", body: "Process.kill(:TERM, Process.pid)", class: "Tasker::Host::ForbiddenError", text: "Process.kill of the host"},
		{name: "a signal to the host's group", body: "Process.kill(:TERM, 0)", class: "Tasker::Host::ForbiddenError", text: "Process.kill of the host"},
		{name: "a signal to the group by its number", body: "Process.kill('-TERM', Process.getpgrp)", class: "Tasker::Host::ForbiddenError", text: "Process.kill of the host"},
		{name: "a signal to the host's pid as a Float", body: "Process.kill(:TERM, Process.pid + 0.5)", class: "Tasker::Host::ForbiddenError", text: "Process.kill of the host"},
		{name: "a signal to an object with to_int", body: "Process.kill(:TERM, Class.new { def to_int = Process.pid }.new)", class: "Tasker::Host::ForbiddenError", text: "Process.kill of the host"},
		{name: "a signal to a pid that changes", body: "pid = spawn('sleep 60'); begin; Process.kill(:TERM, Class.new { define_method(:to_int) { @other ? Process.pid : (@other = true) && pid } }.new); Process.wait2(pid)[1].termsig; end", text: "15"},
		{name: "a signal that says it is another", body: "s = Class.new(String) { def to_s = 'EXIT'; def start_with?(*) = false; def ==(_) = true }.new('-TERM'); Process.kill(s, Process.getpgrp)", class: "Tasker::Host::ForbiddenError", text: "Process.kill of the host"},
		{name: "a signal whose to_str changes", body: "pid = spawn('sleep 60'); s = Class.new { def to_str = (@other ? 'TERM' : (@other = true) && 'KILL'); def to_s = 'TERM' }.new; Process.kill(s, pid); Process.wait2(pid)[1].termsig", text: "9"},
		{name: "a signal that is one by its to_str", body: "s = Class.new { def to_str = 'TERM'; def to_s = 'EXIT' }.new; Process.kill(s, Process.pid)", class: "Tasker::Host::ForbiddenError", text: "Process.kill of the host"},
		{name: "a signal to the host's group as a Float", body: "Process.kill(:TERM, -Process.getpgrp - 0.5)", class: "Tasker::Host::ForbiddenError", text: "Process.kill of the host"},
		{name: "a signal to nearly 0", body: "Process.kill(:TERM, 0.5)", class: "Tasker::Host::ForbiddenError", text: "Process.kill of the host"},
		{name: "a signal to every process", body: "Process.kill('-URG', 1)", class: "Tasker::Host::ForbiddenError", text: "Process.kill of the host"},
		{name: "a signal to a thread of the host", body: "Dir.children('/proc/self/task').map { |tid| Process.kill(:TERM, tid.to_i) rescue $!.class.name }.uniq", text: `["Tasker::Host::ForbiddenError"]`},
		{name: "a signal to the host after another", body: "pid = spawn('sleep 60'); begin; Process.kill(:TERM, pid, Process.pid); ensure; Process.kill(:KILL, pid); $termsig = Process.wait2(pid)[1].termsig; end", class: "Tasker::Host::ForbiddenError", text: "Process.kill of the host"},
		{name: "what Ruby says of a bad signal", body: "[[:NO, 999_999_999], [Object.new, 999_999_999], [:TERM, 'x'], [:TERM]].map { |a| Process.kill(*a) rescue $!.class.name }", text: `["ArgumentError","ArgumentError","TypeError","ArgumentError"]`},
		{name: "signal 0 to the host", body: "Process.kill(0, Process.pid)", text: "1"},
		{name: "Signal.trap", body: "Signal.trap(:TERM, 'IGNORE')", text: `"DEFAULT"`},

		// Threads.
		{name: "Thread.current.kill", body: "Thread.current.kill", is: rubyhost.ErrThreadKilled},
		{name: "Thread.exit", body: "Thread.exit", is: rubyhost.ErrThreadKilled},
		{name: "Thread.main.raise", body: "Thread.main.raise('hello'); :ok", class: "Tasker::Host::ForbiddenError", text: "the host's main thread"},
		{name: "Thread.main.kill", body: "Thread.main.kill; :ok", class: "Tasker::Host::ForbiddenError", text: "the host's main thread"},
		{name: "Thread.main.exit", body: "Thread.main.exit; :ok", class: "Tasker::Host::ForbiddenError", text: "the host's main thread"},
		{name: "Thread.main.terminate", body: "Thread.main.terminate; :ok", class: "Tasker::Host::ForbiddenError", text: "the host's main thread"},
		{name: "Thread.kill of the main thread", body: "Thread.kill(Thread.main); :ok", class: "Tasker::Host::ForbiddenError", text: "the host's main thread"},
		{name: "a trace function of the main thread", body: "Thread.main.set_trace_func(proc { }); :ok", class: "Tasker::Host::ForbiddenError", text: "the host's main thread"},
		{name: "a further trace function of the main thread", body: "Thread.main.add_trace_func(proc { }); :ok", class: "Tasker::Host::ForbiddenError", text: "the host's main thread"},
		{name: "moving the main thread to another group", body: "ThreadGroup.new.add(Thread.main); :ok", class: "Tasker::Host::ForbiddenError", text: "the host's main thread"},
		{name: "Thread.main.raise in a child", body: "pid = fork { begin; Thread.main.raise('own'); rescue RuntimeError; exit 7; end }; Process.wait2(pid)[1].exitstatus", text: "7"},
		{name: "killing idle workers", alone: true, body: "Thread.list.each { |t| t.kill unless [Thread.current, Thread.main].include?(t) }; :ok", text: `"ok"`},
		{name: "a thread that aborts", body: "t = Thread.new { Thread.current.report_on_exception = false; Thread.current.abort_on_exception = true; raise 'in a thread' }; (t.join rescue nil); :ok", text: `"ok"`},
		{name: "exit in a thread", body: "Thread.new { exit }.join; :ok", class: "SystemExit", text: "exit"},
		{name: "a thread left running", body: "Thread.new { sleep 60 }; :ok", text: `"ok"`},
		{name: "a hundred computing threads left running", body: "100.times { Thread.new { loop {} } }; :ok", text: `"ok"`},
		{name: "a thread that is kept", body: "Tasker.keep_thread { Thread.new { sleep 0.01 } }; :ok", text: `"ok"`},
		{name: "a child left running", body: "spawn('sleep 1'); :ok", text: `"ok"`},
		{name: "killed, but saved by break", body: "loop { begin; Thread.exit; ensure; break; end }; :ok", text: `"ok"`},
		{name: "killed, but raises instead", body: "begin; Thread.current.kill; ensure; raise 'instead'; end", class: "RuntimeError", text: "instead"},
		// A thread that the ticker asked to give way counts as stopped, too. So it is woken again.
		{name: "Thread.stop", body: "at, awake = Thread.current, false; Thread.new { (sleep 0.01 until at.stop?; at.run) until awake }; Thread.stop; awake = true; :ok", text: `"ok"`},
		{name: "waking every thread", body: "100.times { Thread.list.each { |t| t.wakeup rescue nil } }; :ok", text: `"ok"`},
		{name: "joining the main thread", body: "Thread.main.join", class: "ThreadError"},
		{name: "keywords for a thread", body: "[Thread.new(a: 1) { |a:| a }.value, Thread.start(1, b: 2) { |x, b:| x + b }.value, Thread.fork({c: 3}) { |h| h[:c] }.value]", text: "[1,3,3]"},
		{name: "priority and name", body: "Thread.current.priority = -3; Thread.current.name = 'guest'; :ok", text: `"ok"`},
		{name: "raising in itself", body: "Thread.current.raise('own')", class: "RuntimeError", text: "own"},
		{name: "Timeout", body: "require 'timeout'; Timeout.timeout(0.02) { loop { } }", class: "Timeout::Error", text: "execution expired"},
		{name: "Timeout rescued", body: "require 'timeout'; begin; Timeout.timeout(0.02) { sleep 9 }; rescue Timeout::Error; 'slow'; end", text: `"slow"`},
		{name: "a mutex left locked", body: "Mutex.new.lock; :ok", text: `"ok"`},
		{name: "deadlock on a queue", body: "require 'timeout'; Timeout.timeout(0.05) { Queue.new.pop }", class: "Timeout::Error|fatal"},

		// The process's own state.
		{name: "closing $stdout", body: "$stdout.close; $stderr.close; puts 'still'; :ok", text: `"ok"`},
		{name: "$stdout = nil", body: "$stdout = nil", class: "TypeError", text: "$stdout must have write method"},
		{name: "srand", body: "srand(1); :ok", text: `"ok"`},
		{name: "a singleton to_json", body: "h = {a: 1}; def h.to_json(*) = raise('no'); h", text: `{"a":1}`},
		{name: "Comparable without end", body: "Class.new { include Comparable; def <=>(o) = o <=> self }.then { |c| c.new == c.new }", class: "SystemStackError"},
		{name: "InstructionSequence", body: "RubyVM::InstructionSequence.compile('1 + 1').eval", text: "2"},
		{name: "callcc", body: "require 'continuation'; n = 0; again = callcc { |c| c }; n += 1; again.call(again) if n < 3; n", text: "3"},
		{name: "TracePoint", body: "n = 0; TracePoint.new(:c_call) { n += 1 }.enable { 'x'.upcase }; n > 0", text: "true"},
		{name: "a TracePoint that raises", alone: true, body: "TracePoint.new(:call, :c_call, :line) { raise 'traced' }.enable; :ok", class: "RuntimeError", text: "traced"},
		{name: "a set_trace_func that raises", alone: true, body: "set_trace_func(proc { raise 'traced' }); :ok", class: "RuntimeError", text: "traced"},
		{name: "a trace function of the thread's own", body: "Thread.current.set_trace_func(proc { raise 'traced' }); :ok", is: errAny},
		{name: "replacing $stdout", alone: true, body: "require 'stringio'; old = $stdout; $stdout = StringIO.new; puts 'x'; s = $stdout.string; $stdout = old; s", text: `"x\n"`},
		{name: "Dir.chdir", body: "Dir.chdir('/') { Dir.pwd }", text: `"/"`},
		{name: "ENV", body: "ENV['TASKER_TEST'] = 'x'; ENV.delete('TASKER_TEST')", text: `"x"`},
		{name: "$0=", body: "old = $0.dup; $0 = 'a handler with a long, long name ' * 4; $0 = old; :ok", text: `"ok"`},
		{name: "globals", body: "$; = ','; $, = nil; $/ = \"\\n\"; $; = nil; :ok", text: `"ok"`},
		{name: "removing a constant", body: "Object.const_set(:TestGone, 1); Object.send(:remove_const, :TestGone)", text: "1"},
		{name: "removing JSON", alone: true, body: "old = Object.send(:remove_const, :JSON); begin; {a: 1}; ensure; Object.const_set(:JSON, old); end", text: `{"a":1}`},
		{name: "reopening String", body: "class ::String; def tasker_test = 'x'; end; 'a'.tasker_test", text: `"x"`, is: errSkipParse},
		{name: "reopening Hash#each", body: "h = {a: 1}; def h.each; raise 'no'; end; h", text: `{"a":1}`},

		// Fibers and what builds on them.
		{name: "fiber", body: "f = Fiber.new { Fiber.yield 1; 2 }; [f.resume, f.resume]", text: "[1,2]"},
		{name: "a fiber left suspended", body: "Fiber.new { Fiber.yield }.resume; :ok", text: `"ok"`},
		{name: "enumerator", body: "e = [1, 2, 3].each; [e.next, e.next]", text: "[1,2]"},
		{name: "lazy", body: "(1..Float::INFINITY).lazy.map { |x| x * 2 }.first(3)", text: "[2,4,6]"},
		{name: "a fiber resumed after its step", body: "$fiber = Fiber.new { Fiber.yield step.name; task.context[:order_id] }; $fiber.resume", text: `"two"`},
		{name: "a thread in a ractor", body: "Warning[:experimental] = false; Ractor.new { Thread.new { 5 }.value }" + valueOfRactor, text: "5"},
		{name: "a ractor that raises", body: "Warning[:experimental] = false; Ractor.new { Thread.current.report_on_exception = false; raise 'x' }" + valueOfRactor, class: "Ractor::RemoteError"},
		{name: "a request in a ractor", body: "Warning[:experimental] = false; Ractor.new { begin; Tasker::Host.request(0, 1, ''); rescue Tasker::Host::ServiceError => e; e.message; end }" + valueOfRactor, text: "a Ractor has no host to ask"},
		{name: "log in a ractor", body: "Warning[:experimental] = false; Ractor.new { Tasker::Host.log(1, '[]') }" + valueOfRactor, text: "false"},
		{name: "the serial in a ractor", body: "Warning[:experimental] = false; Ractor.new { [Tasker::Host.job_serial, Thread.new { Tasker::Host.job_serial }.value] }" + valueOfRactor, text: "[0,0]"},
		{name: "the threads in a ractor", body: "Warning[:experimental] = false; Ractor.new { t = Thread.current; [Tasker::Host.foreign?(t), Tasker::Host.main_thread?(t), Tasker::Host.replace(t), Tasker::Host.masked(1)] }" + valueOfRactor, text: "[false,false,null,null]"},
		{name: "register in a ractor", body: "Warning[:experimental] = false; Ractor.new { begin; Tasker::Host.register(1); rescue Tasker::Host::ServiceError => e; e.message; end }" + valueOfRactor, text: "a Ractor has no host to ask"},
		{name: "a kill and a TracePoint in a ractor", body: "Warning[:experimental] = false; Ractor.new { u = Thread.new { sleep }; u.kill; n = 0; TracePoint.new(:c_call) { n += 1 }.enable { 'x'.upcase }; [u.join.status, n > 0] }" + valueOfRactor, text: "[false,true]"},
		{name: "ractor", body: "Warning[:experimental] = false; Ractor.new { 1 + 1 }" + valueOfRactor, text: "2"},

		// The garbage collector.
		{name: "GC.compact", body: "GC.compact if GC.respond_to?(:compact); :ok", text: `"ok"`},
		{name: "GC.disable", alone: true, body: "GC.disable; 'x'", text: `"x"`},
		{name: "GC.stress", alone: true, body: "GC.stress = true; begin; Array.new(10) { |i| i.to_s * 3 }; ensure; GC.stress = false; end", text: `["000"`},
		{name: "GC.stress left on", alone: true, body: "GC.stress = true; :ok", text: `"ok"`},
		{name: "WeakMap", body: "m = ObjectSpace::WeakMap.new; 100.times { m[Object.new] = Object.new }; GC.start; m.size >= 0", text: "true"},
		{name: "ObjectSpace", body: "ObjectSpace.each_object(Class).count > 100", text: "true"},
		{name: "ObjectSpace.garbage_collect", body: "ObjectSpace.garbage_collect; :ok", text: `"ok"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.is == errSkipParse {
				eval(t, "class ::String; def tasker_test = 'x'; end; nil")
				c.body, c.is = "'a'.tasker_test", nil
			}
			var honest *honestCalls
			if !c.alone {
				honest = besideHonestCalls(t, 2)
			}
			out, err := run(t, processBody(t, c.body))
			switch {
			case c.is == errAny:
				var ruby *rubyhost.Error
				require.ErrorAs(t, err, &ruby)
				require.NotEmpty(t, ruby.Class)
			case c.is != nil:
				require.ErrorIs(t, err, c.is)
			case c.class != "":
				var ruby *rubyhost.Error
				require.ErrorAs(t, err, &ruby)
				require.Regexp(t, "^("+c.class+")$", ruby.Class)
				require.Contains(t, ruby.Message, c.text)
			default:
				require.NoError(t, err)
				require.Contains(t, out, c.text)
			}
			if honest != nil {
				honest.requireRight(t)
			}
			requireHealthy(t)
		})
	}
}

// Ractor#take is gone in CRuby 4.0, and before it there is no Ractor#value.
const valueOfRactor = ".then { |r| r.respond_to?(:value) ? r.value : r.take }"

var (
	errAny       = errors.New("any Ruby exception")
	errSkipParse = errors.New("the body needs the top level")
)

func TestConductGCIsEnabledAgain(t *testing.T) {
	_, err := run(t, processBody(t, "GC.disable"))
	require.NoError(t, err)
	require.Equal(t, "false", eval(t, "GC.enable"), "GC was left disabled")
}

func TestConductWhatIsGlobalIsPutBack(t *testing.T) {
	for _, c := range []struct{ body, look, before string }{
		{"GC.stress = true", "GC.stress", "false"},
		{"require 'stringio'; $stdout = StringIO.new", "$stdout.class.name", `"Tasker::Host::Output"`},
		{"$stderr = Class.new { def write(*) = raise(Interrupt); def flush = raise(Interrupt) }.new", "$stderr.class.name", `"Tasker::Host::Output"`},
		{"set_trace_func(proc { $traced = true })", "$traced = false; 'x'.upcase; $traced", "false"},
	} {
		require.Equal(t, c.before, eval(t, c.look))
		_, err := run(t, processBody(t, c.body+"; :ok"))
		require.NoError(t, err)
		require.Equal(t, c.before, eval(t, c.look), c.body)
	}
	requireHealthy(t)
}

// An interrupt may come while the settings are put back. The next step finds them
// as they were, and GC.stress is off at once.
func TestConductWhatIsGlobalIsPutBackInSpiteOfInterrupts(t *testing.T) {
	eval(t, `require "stringio"
		Tasker::Host::Leftovers.singleton_class.prepend(Module.new { def clear = $waits_before ? sleep : super })
		trace_var(:$stdout, $trace = proc { sleep if $waits_amid })
		nil`)
	defer eval(t, "untrace_var(:$stdout, $trace); nil")
	for _, when := range []string{"$waits_before", "$waits_amid"} {
		h := processBody(t, "$stderr = $stdout = StringIO.new; GC.stress = 1; "+when+" = true; :ok") // no major collections
		_, err := runFor(h, 50*time.Millisecond)
		require.ErrorIs(t, err, context.DeadlineExceeded, when)
		require.Equal(t, "false", eval(t, "GC.stress"), when)
		eval(t, when+" = false; nil")
		out, err := run(t, processBody(t, "[$stdout, $stderr].map { |o| o.class.name }"))
		require.NoError(t, err, when)
		require.Equal(t, `["Tasker::Host::Output","Tasker::Host::Output"]`, out, when)
	}
	requireHealthy(t)
}

// A handler that touches another step's thread fails; the other step goes on.
func TestConductThreadsOfOtherStepsAreLeftAlone(t *testing.T) {
	for _, call := range []string{"raise('from outside')", "kill", "exit", "terminate", "priority = 3"} {
		eval(t, "$worker = nil; $over = false; nil")
		victim := processBody(t, "$worker = Thread.current; sleep 0.001 until $over; :unharmed")
		done := make(chan string, 1)
		go func() {
			out, err := run(t, victim)
			done <- fmt.Sprint(out, err)
		}()
		_, err := run(t, processBody(t, "sleep 0.001 until $worker; $worker."+call))
		require.ErrorContains(t, err, "on a thread of another step", call)
		eval(t, "$over = true; nil")
		require.Equal(t, `"unharmed"<nil>`, <-done, call)
	}
	requireHealthy(t)
}

// A thread that another step has started is left alone, too, also when it has not
// begun, and when a gem has started it.
func TestConductThreadsThatOtherStepsStartedAreLeftAlone(t *testing.T) {
	dir := writeFiles(t, map[string]string{"gem/in_parallel.rb": "module InParallel\n def self.call(&job) = Thread.new(&job)\nend"})
	eval(t, fmt.Sprintf("require %q; nil", filepath.Join(dir, "gem/in_parallel.rb")))
	for _, start := range []string{"Thread.new", "Thread.start", "InParallel.call"} {
		eval(t, "$thread, $over = nil, Queue.new; nil")
		fresh := start
		if start == "Thread.start" {
			fresh = "Thread.new" // CRuby shows what start makes before anybody can know whose it is
		}
		victim := processBody(t, "$thread = "+start+" { $over.pop }; [$thread.value, (1..100).map { |n| "+fresh+" { Thread.pass; n } }.sum(&:value)]")
		done := make(chan string, 1)
		go func() {
			out, err := run(t, victim)
			done <- fmt.Sprint(out, err)
		}()
		for _, call := range []string{"raise('from outside')", "kill", "priority = 3"} {
			_, err := run(t, processBody(t, "sleep 0.001 until $thread; $thread."+call))
			require.ErrorContains(t, err, "on a thread of another step", call)
		}
		eval(t, "$over << 1; nil")
		_, err := run(t, processBody(t, "200.times { (Thread.list - [Thread.main, Thread.current]).each { |t| t.kill rescue nil }; Thread.pass }; :ok"))
		require.NoError(t, err)
		require.Equal(t, `[1,5050]<nil>`, <-done, start)
	}
	// The workers without a step are killed, and replaced. On a busy machine some do not know it yet.
	require.Eventually(t, func() bool {
		return eval(t, `Thread.list.none? { |t| t.pending_interrupt? || t.status == "aborting" }`) == "true"
	}, 10*time.Second, time.Millisecond)
	requireHealthy(t)
}

// A thread with changes that cannot be undone is replaced.
func TestConductMarkedThreadsAreReplaced(t *testing.T) {
	for name, body := range map[string]string{
		"a priority":           "Thread.current.priority = -3",
		"a kill that failed":   "loop { begin; Thread.exit; ensure; break; end }",
		"a mask never taken":   "$masked = Fiber.new { Thread.handle_interrupt(Object => :never) { Fiber.yield } }; $masked.resume",
		"a thread's own trace": "Thread.current.set_trace_func(proc { })",
	} {
		before := host.Stats().Respawns
		_, err := run(t, processBody(t, body+"; :ok"))
		require.NoError(t, err, name)
		requireHealthy(t)
		require.Eventually(t, func() bool { return host.Stats().Respawns == before+1 }, 10*time.Second, time.Millisecond, name)
	}
	before := host.Stats().Respawns
	out, err := run(t, processBody(t, "Thread.handle_interrupt(RuntimeError => :never) { 1 }"))
	require.NoError(t, err)
	require.Equal(t, "1", out)
	requireHealthy(t)
	require.Equal(t, before, host.Stats().Respawns, "a mask that was taken off is none")
}

func TestConductFiberSchedulerIsDropped(t *testing.T) {
	dir := t.TempDir()
	marker := filepath.Join(dir, "closed")
	h := handlerClass(t, `
		class Scheduler
			def initialize(f) = @f = f
			def close = File.write(@f, "x")
			def block(*) = sleep
			def unblock(*) = nil
			def kernel_sleep(*) = nil
			def io_wait(*) = nil
			def fiber(&b) = Fiber.new(blocking: true, &b).tap(&:resume)
		end
		def process(task, sequence, step)
			Fiber.set_scheduler(Scheduler.new(`+"'"+marker+"'"+`))
			:ok
		end`)
	out, err := run(t, h)
	require.NoError(t, err)
	require.Equal(t, `"ok"`, out)
	require.FileExists(t, marker)
	requireHealthy(t)
}

func TestConductDescriptorsAreNotLeaked(t *testing.T) {
	h := processBody(t, "`true`; fork { }.then { |pid| Process.wait(pid) }; :ok")
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		return len(entries)
	}
	_, err := run(t, h)
	require.NoError(t, err)
	before := count()
	for range 20 {
		_, err := run(t, h)
		require.NoError(t, err)
	}
	require.LessOrEqual(t, count(), before+1)
}

// CRuby 3.1 crashes when a thread is interrupted that waits for another one's
// autoload: nothing that every handler may name is left to one.
func TestNothingIsLeftToAutoload(t *testing.T) {
	require.Equal(t, "[]", eval(t, `
		left = []
		ObjectSpace.each_object(Module) do |m|
			name = Module.instance_method(:name).bind_call(m)
			next if name.nil? || name.start_with?("Gem") # which steps do not name
			Module.instance_method(:constants).bind_call(m, false).each { |c| left << "#{m}::#{c}" if m.autoload?(c, false) }
		end
		own = %i[Base64 Benchmark BigDecimal Date Digest ERB FileUtils OpenStruct Pathname SecureRandom Set Singleton Tempfile Timeout URI]
		left.concat(own.reject { |c| Object.const_defined?(c) })
		# To load json's GenericObject warns where ostruct is a gem. json 2.7 and later have it as an autoload.
		left - %w[Tasker::StepHandler::Api Tasker::Testing Object::SortedSet JSON::GenericObject]`))
}
