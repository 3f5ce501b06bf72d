package rubyhost_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/rubyhost"
)

func init() {
	children["terminal"] = func() {
		h := mustBoot(rubyhost.Options{Threads: 2, Terminal: true})
		eval := func(code string) string {
			out, err := h.Eval(context.Background(), code, "child.rb")
			must(err)
			return string(out)
		}
		fmt.Println("untrapped:", h.Interrupt())
		fmt.Println("former:", eval(`[trap("INT") { }, trap("INT", "IGNORE").class.name, trap(:SIGINT, nil), trap("INT", "DEFAULT"), trap("INT", "DEFAULT")]`))
		fmt.Println("others:", eval(`%w[WINCH TSTP CONT TTIN TTOU].map { |s| Signal.trap(s) { } }.uniq`))
		fmt.Println("the process's:", eval(`
			require "stringio"
			warned, $stderr = $stderr, StringIO.new
			Signal.trap("TERM") { }
			warned, $stderr = $stderr.string, warned
			warned.sub(/\A.*warning: /, "").chomp`))
		fmt.Println("wrong:", eval(`begin; trap("INT"); rescue ArgumentError => e; e.message; end`))
		eval(`trap("INT", "IGNORE")`)
		fmt.Println("ignored:", h.Interrupt())
		eval(`trap("INT") { $seen = true }`)
		fmt.Println("of a thread that is not there any more:", eval(`Thread.new { trap("INT") { $seen = true } }.join; $seen.inspect`), h.Interrupt())
		began, waits := make(chan struct{}), make(chan string)
		must(h.Serve(context.Background(), "begun", func(context.Context, []byte) ([]byte, error) { close(began); return nil, nil }))
		go func() {
			waits <- eval(`
				outer = trap("INT") { raise "outer" }
				inner = trap("INT") { |number| raise IOError, "inner #{number}" }
				seen = []
				begin
					Tasker::Host.ask("begun", "")
					sleep
				rescue IOError => e
					seen << e.message
				end
				trap("INT", inner)
				seen << [outer.class.name, Thread.current.alive?]`)
		}()
		<-began
		fmt.Println("trapped:", h.Interrupt(), <-waits)
		must(h.Close())
		fmt.Println("closed:", h.Interrupt())
	}
}

func TestInterruptsOfATerminal(t *testing.T) {
	t.Parallel()
	out, err := inChild(t, "terminal")
	require.NoError(t, err, out)
	require.Equal(t, strings.TrimSpace(`
untrapped: false
former: ["DEFAULT","Proc","IGNORE","IGNORE","DEFAULT"]
others: ["DEFAULT"]
the process's: "tasker-rb: trap(\"TERM\") is ignored, the signal belongs to the host"
wrong: "tried to create Proc object without a block"
ignored: true
of a thread that is not there any more: "nil" false
trapped: true ["inner 2",["Proc",true]]
closed: false`), strings.TrimSpace(out))
}
