// Package docs holds the guides: the program prints them where its source is not at hand.
// The guides are the Markdown files of this folder; the tests beside them compare what they
// say with the code.
package docs

import "embed"

// Pages are the guides, by the names of their files.
//
//go:embed *.md
var Pages embed.FS
