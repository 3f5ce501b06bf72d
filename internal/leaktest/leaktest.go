// Package leaktest runs the tests of a package, and fails if they leave goroutines.
//
// It is goleak with more patience: goleak waits less than a second, and on a busy machine a
// connection that was closed takes longer to end its goroutines.
package leaktest

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience is how long the last goroutines may take to end. Only a leak takes so long.
const patience = time.Minute

// Main is for TestMain. It runs the tests, then the functions, and ends the process.
func Main(m *testing.M, last ...func()) {
	code := m.Run()
	if code == 0 {
		if err := find(); err != nil {
			fmt.Fprintln(os.Stderr, "leaktest: the tests have left goroutines:", err)
			code = 1
		}
	}
	for _, f := range last {
		f()
	}
	os.Exit(code)
}

// find waits until no goroutine is left, and otherwise says which are.
func find() (err error) {
	for deadline := time.Now().Add(patience); ; {
		if err = goleak.Find(); err == nil || time.Now().After(deadline) {
			return err
		}
	}
}
