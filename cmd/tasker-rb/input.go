package main

import (
	"context"
	"io"
	"os"
)

// untilInterrupted does what may wait for somebody who writes: the read of a terminal or of
// a pipe. When the context ends it returns at once, and the read goes on in vain.
func untilInterrupted[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		value, err := read()
		done <- outcome{value, err}
	}()
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
		return *new(T), ctx.Err()
	}
}

// readInput reads standard input to its end.
func readInput(ctx context.Context, stdin io.Reader) ([]byte, error) {
	return untilInterrupted(ctx, func() ([]byte, error) { return io.ReadAll(stdin) })
}

// readFile reads a file, which may be a pipe.
func readFile(ctx context.Context, name string) ([]byte, error) {
	return untilInterrupted(ctx, func() ([]byte, error) { return os.ReadFile(name) })
}
