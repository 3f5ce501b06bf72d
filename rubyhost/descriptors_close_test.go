package rubyhost_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// A handler makes a second IO of its socket's number, and closes one of the two.
// The host opens a connection, which gets that number. Then the other IO goes.
func init() {
	children["a number that is the host's now"] = func() {
		h := mustBoot(rubyhost.Options{Threads: 4})
		background := context.Background()
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		must(err)
		var near, far net.Conn
		must(h.Serve(background, "connect", func(context.Context, []byte) ([]byte, error) {
			near, err = net.Dial("tcp", listener.Addr().String())
			must(err)
			far, err = listener.Accept()
			must(err)
			raw, err := near.(*net.TCPConn).SyscallConn()
			must(err)
			var number string
			must(raw.Control(func(fd uintptr) { number = fmt.Sprint(fd) }))
			return []byte(number), nil
		}))
		_, err = h.Eval(background, `
			require "socket"
			class ::Honest
				def process(task, *) = (sleep 0.0005; task.context[:order_id])
			end
			class ::Guest
				def process(*)
					first, other = UNIXSocket.pair
					second = $way.call(number = first.fileno)
					a, b = `+os.Getenv("TEST_ORDER")+`
					ObjectSpace.define_finalizer(b, proc { $collected += 1 })
					a.close
					other.close
					raise "another number" unless Tasker::Host.ask("connect", "") == number.to_s
					`+os.Getenv("TEST_GUEST")+`
				end
			end
			$collected = 0
			$stir = proc { |depth| depth.zero? ? GC.start : $stir.call(depth - 1) } # leaves no old frames on the stack
			$way = proc { |n| `+os.Getenv("TEST_WAY")+` }
			nil`, "number.rb")
		must(err)
		guest, err := h.Handler(background, "Guest")
		must(err)
		honest, err := h.Handler(background, "Honest")
		must(err)
		calls := startHonestCalls(2, honestStep(honest, "42"))
		for i := range 5 {
			out, err := runFor(guest, 10*time.Second)
			must(until(func() bool {
				collected, err := h.Eval(background, "$stir.call(200); $collected", "number.rb")
				must(err)
				return string(collected) == fmt.Sprint(i+1) || os.Getenv("TEST_COLLECTS") == ""
			}))
			fmt.Println("guest:", out, err)
			must(near.SetDeadline(time.Now().Add(10 * time.Second)))
			must(far.SetDeadline(time.Now().Add(10 * time.Second)))
			if _, err := near.Write([]byte("x")); err != nil {
				fmt.Println("the connection is broken:", err)
			}
			if _, err := far.Read(make([]byte, 1)); err != nil {
				fmt.Println("the connection is broken:", err)
			}
			must(near.Close())
			must(far.Close())
		}
		calls.mustBeRight()
		must(listener.Close())
		must(h.Close())
		fmt.Println("closed")
	}
}

// until waits for the condition.
func until(holds func() bool) error {
	for began := time.Now(); !holds(); time.Sleep(time.Millisecond) {
		if time.Since(began) > time.Minute {
			return errors.New("the condition does not hold after a minute")
		}
	}
	return nil
}

func TestLateCloseSparesTheHostsDescriptors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, way, order, body, guest string }{
		{"collected", "IO.for_fd(n)", "[first, second]", "b = second = nil; :ok", `"ok" <nil>`},
		{"the first one collected", "IO.for_fd(n)", "[second, first]", "b = first = nil; :ok", `"ok" <nil>`},
		{"IO.new", "IO.new(n)", "[first, second]", "b = second = nil; :ok", `"ok" <nil>`},
		{"Socket.for_fd", "Socket.for_fd(n)", "[first, second]", "b = second = nil; :ok", `"ok" <nil>`},
		{"closed", "IO.for_fd(n)", "[first, second]", "b.close", "Errno::EBADF"},
		{"reopened", "IO.for_fd(n)", "[first, second]", "b.reopen(File::NULL)", "Errno::EBADF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			env := []string{"TEST_WAY=" + c.way, "TEST_ORDER=" + c.order, "TEST_GUEST=" + c.body}
			if strings.HasPrefix(c.body, "b = ") {
				env = append(env, "TEST_COLLECTS=1")
			}
			out, err := inChild(t, "a number that is the host's now", env...)
			require.NoError(t, err, out)
			require.NotContains(t, out, "the connection is broken", out)
			require.Regexp(t, "^(guest: .*"+c.guest+".*\n){5}", out)
			require.Contains(t, requireHonestCalls(t, out), "closed\n")
		})
	}
}

// What is the handler's own is closed as ever, also under a number that an IO was
// made of before.
func TestCloseOfOwnDescriptors(t *testing.T) {
	honest := besideHonestCalls(t, 2)
	for _, c := range []struct{ name, body, want string }{
		{"an IO of a number", "r, w = IO.pipe; IO.for_fd(w.fileno).close; [r.read, (w.close rescue $!.class.name)]", `["","Errno::EBADF"]`},
		{"again and again", "100.times { r, w = IO.pipe; IO.for_fd(w.fileno, autoclose: false); w.close; r.read; r.close }; :ok", `"ok"`},
		{"reopen", "r, w = IO.pipe; io = IO.for_fd(w.fileno, 'w', autoclose: false); io.reopen(File::NULL); w.close; r.read", `""`},
		{"redirections of a child", "r, w = IO.pipe; IO.for_fd(w.fileno, autoclose: false); pid = spawn('echo hi', out: w, w.fileno => w); w.close; Process.wait(pid); r.read", `"hi\n"`},
		{"a child's own", "r, w = IO.pipe; IO.for_fd(w.fileno, autoclose: false); pid = fork { w.write('x'); w.close }; w.close; Process.wait(pid); r.read", `"x"`},
	} {
		out, err := run(t, processBody(t, c.body))
		require.NoError(t, err, c.name)
		require.Equal(t, c.want, out, c.name)
	}
	honest.requireRight(t)
	requireHealthy(t)
}
