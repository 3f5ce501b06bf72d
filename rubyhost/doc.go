// Package rubyhost embeds CRuby in a Go process and runs step handlers on a
// pool of Ruby threads.
//
// [Boot] starts the one interpreter of the process. Go code calls Ruby with
// [Handler.Run] or [Method.Call] from any goroutine; the call is queued, a Ruby
// worker thread takes it, and its value comes back as JSON. A Ruby exception
// comes back as an [*Error] with its class, message, backtrace and causes. When
// the call's context ends, the Ruby code is interrupted.
//
// # Who runs what
//
// No goroutine ever runs Ruby code, and no Ruby thread ever runs Go code. They
// meet at a queue (queue.h): Go puts jobs in, Ruby threads take them out while
// they hold Ruby's lock (the GVL) and sleep without it when there are none.
// What Ruby has to say (a job has ended, a question, a log line) goes on a
// second stack, and an eventfd wakes one goroutine that empties it. Ruby code
// asks Go for something, such as running SQL, by posting a question and
// waiting without the GVL; a [Service] answers it in a goroutine.
//
// Ruby threads overlap waiting, not computing: one at a time holds the GVL.
// For more computing, run more processes.
//
// # What the process must know
//
// CRuby can be booted once a process, and cannot be booted again after
// [Host.Close]. Signals stay Go's, except SIGVTALRM and SIGCHLD, which Ruby
// needs; SIGSEGV, SIGBUS and SIGILL go to whoever's thread they happen on.
// docs/rubyhost.md has the details, the table of values, and what a handler
// may do to its host.
package rubyhost
