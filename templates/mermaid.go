package templates

import (
	"fmt"
	"strings"
)

// mermaidText escapes the characters that Mermaid interprets in a label.
var mermaidText = strings.NewReplacer(
	"#", "#35;", `"`, "#quot;", "<", "#lt;", ">", "#gt;", "&", "#amp;", "`", "#96;", "\\", "#92;",
)

// Mermaid draws the steps as a Mermaid flowchart, which GitHub, GitLab and most
// documentation tools show as a picture.
func (t *Template) Mermaid() string {
	var out strings.Builder
	out.WriteString("flowchart TD\n")
	for _, s := range t.Steps {
		fmt.Fprintf(&out, "    s%d[\"%s\"]\n", s.Index, mermaidText.Replace(s.Name))
	}
	for _, s := range t.Steps {
		for _, child := range s.Children {
			fmt.Fprintf(&out, "    s%d --> s%d\n", s.Index, t.index[child].Index)
		}
	}
	return out.String()
}
