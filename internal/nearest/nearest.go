// Package nearest finds the known names that a wrong name may be a misspelling of.
package nearest

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Hint returns "Did you mean …?" with up to three names, or "".
func Hint(name string, known []string) string {
	names := Names(name, known)
	if len(names) == 0 {
		return ""
	}
	return "Did you mean " + Or(names) + "?"
}

// Or joins names to a list for a sentence: "a", "b" or "c".
func Or(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = strconv.Quote(n)
	}
	if len(quoted) < 2 {
		return strings.Join(quoted, "")
	}
	last := len(quoted) - 1
	return strings.Join(quoted[:last], ", ") + " or " + quoted[last]
}

// Names returns up to three known names that name may be a misspelling of, the
// nearest first.
func Names(name string, known []string) []string {
	type candidate struct {
		name     string
		distance int
	}
	var found []candidate
	allowed := max(1, len([]rune(name))/3)
	for _, k := range known {
		if k == name || slices.ContainsFunc(found, func(c candidate) bool { return c.name == k }) {
			continue
		}
		d := editDistance(strings.ToLower(name), strings.ToLower(k))
		// People often write only a part of a name (retryable for
		// default_retryable). Edit distance does not find that.
		if d > allowed && len(name) >= 4 && (strings.HasSuffix(k, "_"+name) || strings.HasPrefix(k, name+"_") ||
			strings.HasSuffix(name, "_"+k) || strings.HasPrefix(name, k+"_")) {
			d = allowed
		}
		if d <= allowed {
			found = append(found, candidate{k, d})
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return cmp.Compare(a.distance, b.distance) })
	var names []string
	for _, c := range found[:min(3, len(found))] {
		names = append(names, c.name)
	}
	return names
}

// editDistance counts the insertions, deletions, replacements and swaps of
// neighbours between a and b. Names of very different lengths are not compared.
func editDistance(a, b string) int {
	x, y := []rune(a), []rune(b)
	if d := len(x) - len(y); d > 10 || d < -10 || len(x) > 300 {
		return max(len(x), len(y))
	}
	before, previous, current := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range previous {
		previous[j] = j
	}
	for i := 1; i <= len(x); i++ {
		current[0] = i
		for j := 1; j <= len(y); j++ {
			change := 1
			if x[i-1] == y[j-1] {
				change = 0
			}
			current[j] = min(previous[j]+1, current[j-1]+1, previous[j-1]+change)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				current[j] = min(current[j], before[j-2]+1)
			}
		}
		before, previous, current = previous, current, before
	}
	return previous[len(y)]
}
