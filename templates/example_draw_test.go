package templates_test

import (
	"fmt"

	"github.com/tasker-rb/tasker-rb/templates"
)

// Text draws a template for a terminal.
func ExampleTemplate_Text() {
	fmt.Print(order().Text())
	// Output:
	// shop/order 1.0.0 (4 steps, 3 levels)
	//
	// ●    validate
	// ├─●  reserve
	// ● │  charge
	// ●─╯  ship  <- reserve, charge
}

// TextASCII is Text for terminals without Unicode.
func ExampleTemplate_TextASCII() {
	fmt.Print(order().TextASCII())
	// Output:
	// shop/order 1.0.0 (4 steps, 3 levels)
	//
	// *    validate
	// +-*  reserve
	// * |  charge
	// *-'  ship  <- reserve, charge
}

// Draw is for pictures with signs and words of your own, such as the progress of
// a task.
func ExampleTemplate_Draw() {
	done := map[string]bool{"validate": true, "charge": true}
	fmt.Print(order().Draw(templates.Drawing{
		Mark: func(s *templates.Step) string {
			if done[s.Name] {
				return "✓"
			}
			return "" // the dot
		},
		Label: func(s *templates.Step) string { return s.HandlerClass },
	}))
	// Output:
	// ✓    Shop::Validate
	// ├─●  Shop::Reserve
	// ✓ │  Shop::Charge
	// ●─╯  Shop::Ship
}

// Mermaid draws a template for GitHub, GitLab and documentation tools.
func ExampleTemplate_Mermaid() {
	fmt.Print(order().Mermaid())
	// Output:
	// flowchart TD
	//     s0["validate"]
	//     s1["reserve"]
	//     s2["charge"]
	//     s3["ship"]
	//     s0 --> s1
	//     s0 --> s2
	//     s1 --> s3
	//     s2 --> s3
}
