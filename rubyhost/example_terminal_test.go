package rubyhost_test

import (
	"fmt"
)

// Interrupt is for programs that let a person type at a Ruby prompt: what they do with
// ^C then depends on whether Ruby code has trapped it.
func ExampleHost_Interrupt() {
	if bootedHost().Interrupt() {
		return // a console has ended its line
	}
	fmt.Println("ending") // nothing traps it, or Options.Terminal is not set
	// Output: ending
}
