package docs_test

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A sentence of a guide has at most so many words. The aim is twenty.
const longestSentence = 28

// guides are the pages that people read from top to bottom.
func guides(t *testing.T) []string {
	t.Helper()
	pages, err := filepath.Glob("*.md")
	require.NoError(t, err)
	require.Greater(t, len(pages), 15)
	return append(pages, "../README.md", "../CONTRIBUTING.md", "../RATIONALE.md", "../CHANGELOG.md")
}

// A reader has to read a long sentence twice.
func TestSentencesAreShort(t *testing.T) {
	t.Parallel()
	for _, guide := range guides(t) {
		text, err := os.ReadFile(guide)
		require.NoError(t, err)
		for _, s := range sentences(string(text)) {
			if words := s.words(); words > longestSentence {
				t.Errorf("%s:%d: a sentence has %d words, and %d are enough: %s", path.Join("docs", guide), s.line, words, longestSentence, s.text)
			}
		}
	}
}

// A word that the glossary replaces by another one is in no guide.
func TestTheGuidesUseTheWordsOfTheGlossary(t *testing.T) {
	t.Parallel()
	_, table, found := strings.Cut(source(t, "docs/glossary.md"), "\n| Not | But |\n| --- | --- |\n")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n\n")
	rows := strings.Split(strings.TrimSpace(table), "\n")
	require.Greater(t, len(rows), 4)
	for _, row := range rows {
		cells := strings.Split(row, "|")
		not, but := strings.TrimSpace(cells[1]), strings.TrimSpace(cells[2])
		word := regexp.MustCompile(`(?i)\b` + regexp.QuoteMeta(not) + `s?\b`)
		for _, guide := range guides(t) {
			text, err := os.ReadFile(guide)
			require.NoError(t, err)
			for _, s := range sentences(string(text)) {
				if found := word.FindString(s.masked()); found != "" {
					t.Errorf("%s:%d: %q; the glossary says %s: %s", path.Join("docs", guide), s.line, found, but, s.text)
				}
			}
		}
	}
}

// A reader finds every guide from the README.
func TestTheReadmeNamesEveryGuide(t *testing.T) {
	t.Parallel()
	readme := source(t, "README.md")
	for _, guide := range guides(t) {
		if guide != "../README.md" {
			require.Contains(t, readme, "]("+path.Join("docs", guide)+")")
		}
	}
}

func TestSentencesOfAText(t *testing.T) {
	t.Parallel()
	text := `# A heading. Not a sentence

One sentence, with ` + "`code. And code`" + `. A second
one: [a link. Text](page.md) and 1.5 s! "A third."

` + "```sh\nno sentence. at all\n```" + `

| a table | is none |
<!-- nor a comment -->
- An item
  of two lines
- Names: ` + "`a`, `b`, `c` and `d`" + ` count as one.
1. (A number.) **Bold.** The end
`
	var found []string
	for _, s := range sentences(text) {
		found = append(found, fmt.Sprintf("%d/%d %s", s.line, s.words(), s.text))
	}
	require.Equal(t, []string{
		"3/4 One sentence, with `code. And code`.",
		"3/9 A second one: [a link. Text](page.md) and 1.5 s!",
		`4/2 "A third."`,
		"12/5 An item of two lines",
		"14/5 Names: `a`, `b`, `c` and `d` count as one.",
		"15/2 (A number.)",
		"15/1 **Bold.**",
		"15/2 The end",
	}, found)
}

// sentence is one of a Markdown text, with the line that it begins on.
type sentence struct {
	line int
	text string
}

var (
	codeSpan = regexp.MustCompile("``[^`]+``|`[^`]+`")
	image    = regexp.MustCompile(`!\[[^\]]*\]\([^)]*\)`)
	link     = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	// namesInARow are code spans that only commas and small words part.
	namesInARow = regexp.MustCompile("\x01[^\\s,]*(?:,?\\s+(?:and\\s+|or\\s+|nor\\s+)?\x01[^\\s,]*)+")
	wordOf      = regexp.MustCompile(`[\pL\pN\x01]`)
)

// masked is the sentence as it is read aloud: a span of code is one sign, and a link its
// text.
func (s sentence) masked() string {
	return link.ReplaceAllString(image.ReplaceAllString(codeSpan.ReplaceAllString(s.text, "\x01"), ""), "$1")
}

// words counts them. Names in a row count as one: nobody reads them as a sentence.
func (s sentence) words() (n int) {
	for field := range strings.FieldsSeq(namesInARow.ReplaceAllString(s.masked(), "\x01")) {
		if wordOf.MatchString(field) {
			n++
		}
	}
	return n
}

var (
	item = regexp.MustCompile(`^\s*(?:[-*+]|\d+\.)\s+`)
	// notProse begins a line that has no sentence: a table, a heading, a comment, a picture.
	notProse = regexp.MustCompile(`^\s*(?:\||#|<!--|!\[)`)
	fence    = regexp.MustCompile("^\\s*```")
)

// sentences are those of the paragraphs and lists of a Markdown text.
func sentences(text string) (found []sentence) {
	var block []string
	begin := 0
	end := func() {
		found = append(found, split(strings.Join(block, "\n"), begin)...)
		block = nil
	}
	code := false
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimRight(line, "\n")
		isFence := fence.MatchString(line)
		switch {
		case isFence || code || strings.TrimSpace(line) == "" || notProse.MatchString(line):
			end()
			code = code != isFence
			continue
		case item.MatchString(line):
			end()
			line = item.ReplaceAllString(line, "")
		}
		if block == nil {
			begin = number
		}
		block = append(block, strings.TrimSpace(line))
	}
	end()
	return found
}

// stop is the end of a sentence: a sign, then what closes, then a space.
var stop = regexp.MustCompile(`[.!?]["”)*_\]]*(?:\s|$)`)

// split takes the sentences of a paragraph that begins on a line. Code and links are blanked
// first, so that a point in them ends nothing.
func split(paragraph string, line int) (found []sentence) {
	blank := func(s string) string { return strings.Repeat("x", len(s)) }
	flat := codeSpan.ReplaceAllStringFunc(link.ReplaceAllStringFunc(paragraph, blank), blank)
	from := 0
	for _, at := range append(stop.FindAllStringIndex(flat, -1), []int{0, len(flat)}) {
		if text := strings.TrimSpace(paragraph[from:at[1]]); text != "" {
			skipped := len(paragraph[from:at[1]]) - len(strings.TrimLeft(paragraph[from:at[1]], " \n"))
			begins := line + strings.Count(paragraph[:from+skipped], "\n")
			found = append(found, sentence{begins, strings.Join(strings.Fields(text), " ")})
		}
		from = at[1]
	}
	return found
}
