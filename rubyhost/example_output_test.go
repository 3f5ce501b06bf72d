package rubyhost_test

import (
	"context"
	"log"
)

// FlushOutput is for programs that boot with Options.AllOutput and say what a call has
// done: what its children have printed without a newline comes before that.
func ExampleHost_FlushOutput() {
	host := bootedHost()
	if _, err := host.Eval(context.Background(), `Process.detach(spawn("printf done; sleep 1", %i[out err] => File::NULL)); nil`, "example.rb"); err != nil {
		log.Fatal(err)
	}
	host.FlushOutput()
	log.Println("the call has returned")
	// Output:
}
