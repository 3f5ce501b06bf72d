package report

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tasker-rb/tasker-rb/internal/soak"
)

// The verdicts.
const (
	flat      = "flat"
	leak      = "leak"
	undecided = "undecided"
)

// word is the verdict in a word.
func word(v soak.Verdict) string {
	if v.Growth == "" {
		return "no verdict"
	}
	return plain(v.Growth)
}

// sentence is the verdict's text without the word that stands before it anyway.
func sentence(v soak.Verdict) string {
	return strings.TrimPrefix(plain(v.Text), v.Growth+": ")
}

// amountOfRun says how much was run.
func amountOfRun(run soak.Run) string {
	return counted(run.Tasks, "task") + ", " + counted(run.Steps, "step") + ", " + counted(int64(run.Threads), "thread")
}

// timeOfRun says how long it took, and how long of it was sampling.
func timeOfRun(run soak.Run) string {
	text := duration(run.Took)
	if run.Sampling > 0 {
		text += " (sampling " + duration(run.Sampling) + ")"
	}
	return text
}

// placeNames are the kinds of a place in words.
var placeNames = map[string]string{
	"ruby_heap": "Ruby heap", "native": "native memory", "go_heap": "Go heap", "bridge": "bridge", "fragmentation": "fragmentation",
}

func placeName(kind string) string {
	if name := placeNames[kind]; name != "" {
		return name
	}
	return strings.ReplaceAll(plain(kind), "_", " ")
}

// placeText is the text of a place, or its figures if it has none.
func placeText(p soak.Place) string {
	if p.Text != "" {
		return plain(p.Text)
	}
	return growth(p.Bytes, p.Low, p.High, bytesUnit, "step")
}

// growth is 66 bytes a step (64 to 68).
func growth(v, low, high float64, unit, each string) string {
	return amount(v, unit) + " a " + each + " (" + interval(low, high) + ")"
}

// outlook says what a verdict that is no leak is worth, in sentences.
func outlook(r *soak.Result) []string {
	v := r.Verdict
	switch v.Growth {
	case flat:
		text := "It holds for a budget of " + amount(v.Budget, bytesUnit) + " a step"
		if v.Confidence > 0 {
			text += ", at " + percent(v.Confidence) + " confidence"
		}
		lines := []string{text + "."}
		if v.Resolvable > 0 {
			lines = append(lines, "These samples could tell "+amount(v.Resolvable, bytesUnit)+" a step from no growth.")
		}
		return lines
	case undecided:
		if v.MoreTasks > 0 {
			return []string{"About " + counted(v.MoreTasks, "more task") + " would decide."}
		}
		if r.Run.Interrupted { // nobody knows
			return nil
		}
		text := "No reasonable number of tasks would decide"
		if v.Resolvable > 0 {
			text += ", but with a budget of " + amount(v.Resolvable, bytesUnit) + " a step there would be a verdict"
		}
		return []string{text + "."}
	}
	return nil
}

var tasksFlag = regexp.MustCompile(`(^|\s)--(iterations|duration)[ =]\S+`)

// commandToDecide is the command with as many tasks as would decide, or empty.
func commandToDecide(r *soak.Result) string {
	command, more := strings.TrimSpace(r.Run.Command), r.Verdict.MoreTasks
	if command == "" || more <= 0 || r.Verdict.Growth != undecided {
		return ""
	}
	flag := "--iterations " + strconv.FormatInt(r.Run.Tasks+more, 10)
	if tasksFlag.MatchString(command) {
		return tasksFlag.ReplaceAllString(command, "${1}"+flag)
	}
	return command + " " + flag
}

// suspectText is what a suspect leaves behind: String, 1 a task, 64 bytes a task.
func suspectText(s soak.Suspect) string {
	class := plain(s.Class)
	if class == "" {
		class = "objects"
	}
	each := figure(float64(s.Count) / 1000)
	size := amount(s.Bytes, bytesUnit) + " a task"
	if s.Kind != "container" {
		return class + ", " + each + " a task, " + size
	}
	if s.Count == 0 {
		return class + " that gets larger, " + size
	}
	return class + " that gets larger, by " + amount(float64(s.Count)/1000, "elements") + " a task, " + size
}

// holderName is one object on the way from a root.
func holderName(h soak.Holder) string {
	name, class, kind := plain(h.Name), plain(h.Class), strings.ReplaceAll(plain(h.Kind), "_", " ")
	switch {
	case name != "" && (h.Kind == "thread_local" || h.Kind == "fiber_local" || h.Kind == "root"):
		return kind + " " + name
	case name != "":
		return name
	case h.Kind == "element": // the class is that of the object itself
		return "an element"
	case class != "" && (kind == "" || h.Kind == "reference"):
		return class
	case class != "":
		return kind + " of " + class
	}
	return kind
}

// chain is the way from a root, each holder with its place.
func chain(path []soak.Holder) []string {
	var names []string
	for _, h := range path {
		name := holderName(h)
		if h.At != nil {
			name += " (" + place(h.At) + ")"
		}
		names = append(names, name)
	}
	return names
}

// classNames joins classes that cannot be told apart.
func classNames(s soak.Share) string {
	var names []string
	for _, c := range s.Classes {
		names = append(names, plain(c))
	}
	return strings.Join(names, " and ")
}

// unitOf is the unit of a measure, bytes if it is not known.
func unitOf(r *soak.Result, key string) string {
	if m := find(r.Measures, key); m != nil {
		return m.Unit
	}
	return bytesUnit
}

// nameOf is the name of a measure, or its key.
func nameOf(m soak.Measure) string {
	if m.Name != "" {
		return plain(m.Name)
	}
	return plain(m.Key)
}

func find(measures []soak.Measure, key string) *soak.Measure {
	if i := slices.IndexFunc(measures, func(m soak.Measure) bool { return m.Key == key }); i >= 0 {
		return &measures[i]
	}
	return nil
}

// deciding returns the measures that the verdict is about, those first that made it.
func deciding(r *soak.Result) []soak.Measure {
	var found []soak.Measure
	for _, m := range r.Measures {
		if m.Decides {
			found = append(found, m)
		}
	}
	slices.SortStableFunc(found, func(a, b soak.Measure) int { return weight(b) - weight(a) })
	return found
}

// explaining returns the other measures.
func explaining(r *soak.Result) []soak.Measure {
	return slices.DeleteFunc(slices.Clone(r.Measures), func(m soak.Measure) bool { return m.Decides })
}

// drawn are the explaining measures that get a plot. A dozen types of objects that stay as
// they are would only hide the others.
func drawn(r *soak.Result) []soak.Measure {
	return slices.DeleteFunc(explaining(r), func(m soak.Measure) bool {
		return strings.HasPrefix(m.Key, soak.SlotsOfType) && m.Trend != nil && m.Trend.Growth == flat
	})
}

func weight(m soak.Measure) int {
	if m.Trend == nil {
		return 0
	}
	return map[string]int{leak: 2, undecided: 1}[m.Trend.Growth]
}

// samples returns the points of a measure. A list that is longer than the other is cut.
func samples(m soak.Measure) []point {
	n := min(len(m.Steps), len(m.Values))
	points := make([]point, n)
	for i := range n {
		points[i] = point{x: float64(m.Steps[i]), y: float64(m.Values[i])}
	}
	return points
}
