// Package rubytest answers Tasker::Testing, the Ruby half of `tasker-rb test`.
//
// A suite runs inside the host, on one of its threads. When an example calls run_task, Ruby
// asks the service "tests" and waits without the GVL. The service runs the task in a
// [testbed.Bed], whose engine calls the handlers on the host's other threads. The answer is
// the task as JSON. The operations are in serve.go, the JSON of a task in document.go.
package rubytest
