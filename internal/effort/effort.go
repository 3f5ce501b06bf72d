// Package effort says how many random cases a test tries.
//
// `make test` has to end in time on a slow machine, so there a test tries some of its
// cases. `make test/thorough` sets TASKER_TEST_THOROUGH and tries all of them.
package effort

import "os"

// variable asks for all cases if it is set.
const variable = "TASKER_TEST_THOROUGH"

// Thorough reports whether all cases are asked for.
func Thorough() bool { return os.Getenv(variable) != "" }

// Of returns how many cases to try: usual ones, or all if they are asked for.
func Of(usual, all int) int {
	if Thorough() {
		return all
	}
	return usual
}
