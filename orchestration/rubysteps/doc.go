// Package rubysteps runs the step handlers that are written in Ruby: it is the
// [orchestration.HandlerResolver] whose handlers are classes in a
// [rubyhost.Host]. It is the only place where the engine and the interpreter
// meet.
package rubysteps
