package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cockroachdb/errors"
)

// LeftOut is a contender that was not measured, because something is missing.
type LeftOut struct {
	Contender string        `json:"contender"`
	Missing   []requirement `json:"missing"`
}

func (l LeftOut) String() string {
	var parts []string
	for _, m := range l.Missing {
		parts = append(parts, fmt.Sprintf("%s is missing (%s)", m.What, m.Install))
	}
	return l.Contender + ": " + strings.Join(parts, "; ")
}

// allContenders are all that there are, in the order of the report. The first one is
// what the others are compared with.
func allContenders(o options) ([]contender, error) {
	list := []contender{}
	for _, t := range []struct{ name, program string }{{"tasker-rb worker", o.program}, {"before", o.before}} {
		if t.program == "" {
			continue
		}
		program, err := filepath.Abs(t.program)
		if err != nil {
			return nil, errors.WithStack(err)
		}
		list = append(list, &tasker{name: t.name, program: program})
	}
	return append(list, engine{}, floor{}, rubyPG{}, dbosTransact{}, riverQueue{}, sidekiq{}, delayedJob{}), nil
}

// chooseContenders returns the chosen contenders, and those of them that cannot run
// here.
func chooseContenders(o options) (list []contender, missing []LeftOut, err error) {
	all, err := allContenders(o)
	if err != nil {
		return nil, nil, err
	}
	wanted := strings.Split(o.contenders, ",")
	for _, c := range all {
		if !slices.ContainsFunc(wanted, func(text string) bool { return strings.Contains(c.Name(), text) }) {
			continue
		}
		if lacks := c.Missing(); len(lacks) > 0 {
			missing = append(missing, LeftOut{c.Name(), lacks})
			continue
		}
		list = append(list, c)
	}
	if len(list) == 0 {
		return nil, missing, errors.Newf("no contender can run: %v", missing)
	}
	return list, missing, nil
}
