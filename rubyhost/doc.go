// Package rubyhost embeds CRuby in a Go process and runs step handlers on a
// pool of Ruby threads.
//
// [Boot] starts the one interpreter of the process. Go code calls Ruby with
// [Handler.Run] or [Method.Call] from any goroutine. The call is queued, a Ruby
// worker thread takes it, and its value comes back as JSON. A Ruby exception
// comes back as an [*Error] with its class, message, backtrace and causes. When
// the call's context ends, the Ruby code is interrupted.
//
// # Who runs what
//
// No goroutine ever runs Ruby code, and no Ruby thread ever runs Go code. They
// meet at a queue (queue.h). Go puts jobs in. Ruby threads take them out while
// they hold Ruby's lock (the GVL), and sleep without it when there are none.
// Ruby's messages (a job has ended, a question, a log line) go on a second
// stack, the outbox. An eventfd wakes one goroutine that empties it. Ruby code
// asks Go for something, such as running SQL: it posts a question and waits
// without the GVL. A [Service] answers the question in a goroutine.
//
// Ruby threads overlap waiting, not computing: one at a time holds the GVL.
// For more computing, run more processes.
//
// # The path of one call
//
// A call is Go's record of one call of Ruby. A job is C's record of the same. A
// handler is the Ruby class that the call runs. To follow a call, read the files
// in this order:
//
//	handler.go          Handler.Run: the arguments as segments
//	call.go             Host.call: takes a call from the pool (call_pool.go), waits for the job
//	bridge_job.go       fillJob and submit: the job goes into the queue
//	queue.c             the queue; which worker wakes up (ticker.c helps)
//	worker.c            worker_main: a Ruby thread takes the job
//	job.c               tasker_job_perform: calls Ruby; then job_error.c, job_cleanup.c
//	ruby/lib/tasker     host.rb StepCallable#run, execution.rb Execution.run: the handler
//	json.c              the value as JSON
//	outbox.c            the job goes to Go
//	bridge_outbox.go    drain and deliver: Host.jobDone wakes the caller
//
// These files leave that path:
//
//	interrupt.go        the context has ended: bridge_control.go, supervisor.c, captured.c, worker.c
//	step_threads.c      the threads that a step's code starts end with it: captured.c, ruby/lib/tasker/host/lineage.rb
//	service.go          Ruby asks Go: request.c, bridge_outbox.go
//	notes.go            Ruby logs: request.c, bridge_outbox.go
//
// # Which files name C
//
// Only the bridge_*.go files import "C", each with the header cbridge.h and
// nothing else of the bridge: boot, jobs, the outbox, control, counters and memory. The
// other Go files see the type job and plain functions. So the code that depends
// on memory shared with C, and on which side owns it, is in those files alone.
//
// # What the process must know
//
// CRuby can be booted once in a process, and cannot be booted again after
// [Host.Close]. Go keeps all signals except SIGVTALRM and SIGCHLD, which Ruby
// needs. SIGSEGV, SIGBUS and SIGILL go to Ruby on a Ruby thread, and to Go on
// all others. docs/rubyhost.md has the details, the table of values, and what a
// handler may do to its host.
package rubyhost
