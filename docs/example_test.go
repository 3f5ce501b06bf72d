package docs_test

import (
	"fmt"
	"strings"

	"github.com/tasker-rb/tasker-rb/docs"
)

func Example() {
	page, err := docs.Pages.ReadFile("templates.md")
	if err != nil {
		panic(err)
	}
	title, _, _ := strings.Cut(string(page), "\n")
	fmt.Println(title)
	// Output: # Task templates
}
