package rubyhost_test

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A forked child holds nothing of the host's, however it came to be: what Go
// closes is closed, although the child lives. Its own pipes work.
func TestForkedChildrenHoldNothingOfTheHosts(t *testing.T) {
	for _, c := range []struct {
		name, fork string
		alone      bool // Ruby does not know that it is in a child, and gives the GVL to threads that are not there
	}{
		{name: "fork with a block", fork: "pid = fork { as_child }"},
		{name: "fork in a thread", fork: "pid = Thread.new { fork { as_child } }.value"},
		{name: "IO.popen of itself", fork: "io = IO.popen('-'); as_child unless io; pid = io.pid"},
		{name: "fork in a C library", alone: true, fork: "require 'fiddle'; pid = Fiddle::Function.new(Fiddle::Handle::DEFAULT['fork'], [], Fiddle::TYPE_INT).call; as_child if pid.zero?"},
		{name: "fork in a fork", fork: "pid = fork { $tell.close; q = fork { as_child }; Process.wait(q) }"},
	} {
		t.Run(c.name, func(t *testing.T) {
			near, far := connected(t)
			fork := processBody(t, `
				until_told, $tell = IO.pipe
				told, tell = IO.pipe
				define_singleton_method(:as_child) do
					$tell.close
					tell.syswrite("up\n")
					until_told.read
					Process.exit!(0)
				end
				`+c.fork+`
				$child = pid
				told.gets.chomp`)
			var honest *honestCalls
			if !c.alone {
				honest = besideHonestCalls(t, 2)
			}
			out, err := run(t, fork)
			require.NoError(t, err)
			require.Equal(t, `"up"`, out)
			if c.alone {
				honest = besideHonestCalls(t, 2)
			}

			require.NoError(t, near.Close())
			require.NoError(t, far.SetReadDeadline(time.Now().Add(10*time.Second)))
			_, err = far.Read(make([]byte, 1))
			require.ErrorIs(t, err, io.EOF, "the child keeps the connection open")
			require.NoError(t, far.Close())
			honest.requireRight(t)
			require.Equal(t, "0", eval(t, "$tell.close; Process.wait2($child)[1].exitstatus"))
		})
	}
	requireHealthy(t)
}

// connected returns both ends of a TCP connection.
func connected(t *testing.T) (near, far net.Conn) {
	t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var dialer net.Dialer
	near, err = dialer.DialContext(t.Context(), "tcp", listener.Addr().String())
	require.NoError(t, err)
	far, err = listener.Accept()
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	return near, far
}

// Forks beside connections that come and go: no child closes a descriptor that
// is its own, and no stream breaks.
func TestForksBesideConnections(t *testing.T) {
	honest := besideHonestCalls(t, 2)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			near, far := connected(t)
			_, err := near.Write([]byte("x"))
			if err == nil {
				_, err = io.ReadFull(far, make([]byte, 1))
			}
			if err != nil {
				t.Error(err)
			}
			_ = near.Close() // both are done with
			_ = far.Close()
		}
	}()
	fork := processBody(t, `
		r, w = IO.pipe
		s, u = IO.pipe
		pid = fork { r.close; w.puts s.gets }
		w.close
		u.puts "through both pipes"
		[r.read, Process.wait2(pid)[1].exitstatus].tap { [r, s, u].each(&:close) }`)
	require.NoError(t, each(4, 40, func() error {
		out, err := run(t, fork)
		if err == nil && out != `["through both pipes\n",0]` {
			t.Error(out)
		}
		return err
	}))
	cancel()
	<-done
	honest.requireRight(t)
	requireHealthy(t)
}
