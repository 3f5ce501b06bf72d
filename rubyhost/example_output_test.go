package rubyhost_test

import (
	"context"
	"fmt"
	"log"
)

// FlushOutput is for programs that boot with Options.AllOutput and say what a call has
// done: what its children have printed without a newline comes before that.
func ExampleHost_FlushOutput() {
	host := bootedHost()
	if _, err := host.Eval(context.Background(), `system("true")`, "example.rb"); err != nil {
		log.Fatal(err)
	}
	host.FlushOutput()
	fmt.Println("the call has returned")
	// Output: the call has returned
}
