package rubyhost_test

import (
	"context"
	"fmt"
	"time"

	"github.com/cockroachdb/errors"

	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// A Ruby exception comes back whole: with its class, its message, its backtrace,
// and what Tasker's own errors add.
func ExampleError() {
	_, err := bootedHost().Eval(context.Background(),
		`raise Tasker::PermanentError.new("no such order", error_code: "HTTP_404")`, "example.rb")
	var ruby *rubyhost.Error
	if errors.As(err, &ruby) {
		fmt.Println(ruby.Class, ruby.Message, ruby.ErrorCode, ruby.Permanent)
	}
	// Output: Tasker::PermanentError no such order HTTP_404 true
}

// IsA asks as Ruby's rescue does: for a class or one above it.
func ExampleError_IsA() {
	_, err := bootedHost().Eval(context.Background(), `Integer("x")`, "example.rb")
	var ruby *rubyhost.Error
	if errors.As(err, &ruby) {
		fmt.Println(ruby.Class, ruby.IsA("StandardError"), ruby.IsA("IOError"))
	}
	// Output: ArgumentError true false
}

// Unwrap returns the exception that was being handled when this one was raised.
func ExampleError_Unwrap() {
	_, err := bootedHost().Eval(context.Background(), `
		begin
			Integer("x")
		rescue ArgumentError
			raise Tasker::RetryableError, "not yet a number"
		end`, "example.rb")
	var ruby, cause *rubyhost.Error
	if errors.As(err, &ruby) && errors.As(errors.Unwrap(ruby), &cause) {
		fmt.Println(ruby.Class, "because of", cause.Class)
	}
	// Output: Tasker::RetryableError because of ArgumentError
}

// With %+v an error prints its backtrace and its causes too.
func ExampleError_Format() {
	err := &rubyhost.Error{
		Class: "Shop::Closed", Message: "come back tomorrow", Backtrace: []string{"shop.rb:7:in `open'"},
		Cause: &rubyhost.Error{Class: "IOError", Message: "no answer"},
	}
	fmt.Printf("%v\n\n%+v\n", err, err)
	// Output:
	// Shop::Closed: come back tomorrow
	//
	// Shop::Closed: come back tomorrow
	//     from shop.rb:7:in `open'
	// caused by IOError: no answer
}

// The end of the call's context interrupts the Ruby code, also where it rescues
// every StandardError. The error says where the code was.
func ExampleInterruptedError() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, err := bootedHost().Eval(ctx, `loop { begin; sleep; rescue => e; end }`, "example.rb")
	var interrupted *rubyhost.InterruptedError
	fmt.Println(errors.As(err, &interrupted), interrupted.Stuck)
	// Output: true false
}

// errors.Is finds why the context ended.
func ExampleInterruptedError_Unwrap() {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_, err := bootedHost().Eval(ctx, "sleep", "example.rb")
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	// Output: true
}
