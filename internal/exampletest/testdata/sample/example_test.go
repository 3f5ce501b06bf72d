package sample

import (
	"fmt"

	_ "github.com/tasker-rb/tasker-rb/internal/pgtest"
)

func ExampleThing_Shown() { fmt.Println("it does not run") }

func ExampleFine() {
	fmt.Println("fine")
	// Output: fine
}
