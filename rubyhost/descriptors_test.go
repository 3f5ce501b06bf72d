package rubyhost_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// Handlers that close every descriptor they can make an IO of, beside streams
// of calls that use a socket of Go's.
func init() {
	children["closing every descriptor"] = func() {
		h := mustBoot(rubyhost.Options{Threads: 6})
		background := context.Background()
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		must(err)
		go func() {
			for {
				conn, err := listener.Accept()
				if errors.Is(err, net.ErrClosed) {
					return
				}
				must(err)
				go echo(conn)
			}
		}()
		conn, err := net.Dial("tcp", listener.Addr().String())
		must(err)
		must(h.Serve(background, "echo", func(_ context.Context, p []byte) ([]byte, error) { return echoed(conn, p) }))
		_, err = h.Eval(background, `
			class ::Asks
				def process(task, sequence, step) = Tasker::Host.ask("echo", task.context[:order_id].to_s)
			end
			class ::Closes
				def process(*)
					(3..255).map { |fd| ($way.call(fd).close; "closed") rescue $!.class.name }.tally
				end
			end
			require "socket"
			nil`, "descriptors.rb")
		must(err)
		asks, err := h.Handler(background, "Asks")
		must(err)
		closes, err := h.Handler(background, "Closes")
		must(err)
		for _, way := range []string{"IO.for_fd(n)", "IO.new(n)", "IO.open(n)", "File.for_fd(n)", "File.new(n)", "File.open(n)",
			"Socket.for_fd(n)", "TCPSocket.for_fd(n)", "Class.new(IO).new(n)", "IO.for_fd(n + 0.5)", "IO.allocate.tap { |io| io.send(:initialize, n) }"} {
			_, err := h.Eval(background, "$way = proc { |n| "+way+" }; nil", "descriptors.rb")
			must(err)
			var out string
			honest := startHonestCalls(2, honestStep(asks, `"42"`))
			must(honest.more(2))
			for range 5 {
				out, err = runFor(closes, 10*time.Second)
				must(err)
			}
			honest.mustBeRight()
			fmt.Println(way, out)
		}
		must(errors.Join(conn.Close(), listener.Close()))
		must(h.Close())
		fmt.Println("closed")
	}
}

// echo answers until the connection ends. Unlike io.Copy it needs no pipe,
// which Go would not put on its poller.
func echo(conn net.Conn) {
	p := make([]byte, 64)
	for {
		n, err := conn.Read(p)
		if err == nil {
			_, err = conn.Write(p[:n])
		}
		if err != nil {
			_ = conn.Close() // the other end has
			return
		}
	}
}

// echoed sends the bytes and returns what comes back.
func echoed(conn net.Conn, p []byte) ([]byte, error) {
	connection.Lock()
	defer connection.Unlock()
	back := make([]byte, len(p))
	_, err := conn.Write(p)
	if err == nil {
		_, err = io.ReadFull(conn, back)
	}
	return back, err
}

// connection is held by who uses the one that all share.
var connection sync.Mutex

// No IO can be had of a descriptor of the host's, whatever the way.
func TestNoIOOfTheHostsDescriptors(t *testing.T) {
	t.Parallel()
	out, err := inChild(t, "closing every descriptor")
	require.NoError(t, err, out)
	require.Contains(t, out, "Tasker::Host::ForbiddenError")
	require.Contains(t, requireHonestCalls(t, out), "closed\n")
}

// The descriptors that a handler may wrap are those that are its own.
func TestIOOfOwnDescriptors(t *testing.T) {
	honest := besideHonestCalls(t, 2)
	epoll := "Dir.children('/proc/self/fd').map(&:to_i).find { |fd| (File.readlink(\"/proc/self/fd/#{fd}\") rescue '') == 'anon_inode:[eventpoll]' }"
	for _, c := range []struct{ name, body, want string }{
		{"a pipe's", "r, w = IO.pipe; IO.for_fd(w.fileno, 'w', autoclose: false).tap { |io| io.sync = true }.write('x'); w.close; r.read", `"x"`},
		{"a file's", "File.open(IO.sysopen('/dev/null'), 'r', &:read)", `""`},
		{"a socket's", "require 'socket'; a, b = UNIXSocket.pipe rescue UNIXSocket.pair; IO.for_fd(a.fileno, autoclose: false).syswrite('x'); s = UNIXSocket.for_fd(b.fileno); s.autoclose = false; s.recv(1).tap { a.close; b.close }", `"x"`},
		{"a path", "File.open('/dev/null', mode: 'r') { |f| [f.path, f.read] }", `["/dev/null",""]`},
		{"nothing open", "[IO.for_fd(999_999), 1] rescue $!.class.name", `"Errno::EBADF"`},
		{"no number", "[-> { IO.new('x') }, -> { IO.for_fd(nil) }, -> { IO.new }].map { |l| l.call rescue $!.class.name }", `["TypeError","TypeError","ArgumentError"]`},
		{"the host's", "fd = " + epoll + "; begin; IO.for_fd(fd); rescue Tasker::PermanentError; $!.message.sub(fd.to_s, 'N'); end", `"an IO of descriptor N is not possible inside tasker-rb: it belongs to the host; open what you need"`},
		{"the host's, in the second conversion", "fd = " + epoll + "; r, w = IO.pipe; IO.for_fd(Class.new { define_method(:to_int) { @other ? fd : (@other = true) && r.fileno } }.new, autoclose: false).fileno == r.fileno", "true"},
	} {
		out, err := run(t, processBody(t, c.body))
		require.NoError(t, err, c.name)
		require.Equal(t, c.want, out, c.name)
		require.NoError(t, honest.more(1), c.name)
	}
	honest.requireRight(t)
	requireHealthy(t)
}
