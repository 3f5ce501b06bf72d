package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// With --output json the last line of standard output has the numbers, or the error.
func TestTheNumbersOfASuite(t *testing.T) {
	t.Parallel()
	failing := map[string]string{"spec/a_spec.rb": "at_exit { puts 'last' }\nRSpec.describe('x') { it('fails') { raise }; it('waits') }\n"}
	misspelt := map[string]string{"order.yaml": one("Shop::Chrge"), "handlers/shop/loud.rb": "puts 'loaded'\n"}
	for _, c := range []struct {
		name   string
		files  map[string]string
		args   []string
		before string // the end of what is before the last line
		last   string
		code   int
	}{
		{"RSpec", failing, []string{"spec/a_spec.rb"}, "last\n", `{"framework": "rspec", "examples": 2, "failures": 1, "pending": 1, "exit": 1}`, 1},
		{"Minitest", nil, []string{"test"}, "0 skips\n", `{"framework": "minitest", "examples": 2, "failures": 0, "pending": 0, "exit": 0}`, 0},
		{"Parts", failing, []string{"spec", "--parallel", "2"}, " s\n", `{"framework": "rspec", "examples": 4, "failures": 1, "pending": 1, "exit": 1}`, 1},
		{"OnePart", failing, []string{"spec/a_spec.rb", "--parallel", "2"}, "last\n", `{"framework": "rspec", "examples": 2, "failures": 1, "pending": 1, "exit": 1}`, 1},
		{"Check", misspelt, []string{"spec"}, "", "", 2},
		{"CheckOfParts", misspelt, []string{"spec", "--parallel", "2"}, "", "", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newSuite(t, c.files).run(append([]string{"test", "--output", "json"}, c.args...)...)
			require.Equal(t, c.code, r.code, r.stdout+r.stderr)
			at := strings.LastIndexByte(strings.TrimSuffix(r.stdout, "\n"), '\n') + 1
			before, last := r.stdout[:at], r.stdout[at:]
			if c.last != "" {
				require.True(t, strings.HasSuffix(before, c.before), r.stdout)
				require.JSONEq(t, c.last, last)
				return
			}
			var d errorDocument
			require.NoError(t, json.Unmarshal([]byte(r.stdout), &d), r.stdout)
			require.Contains(t, d.Error, "there is no class Shop::Chrge")
			require.Len(t, d.Errors, 1)
			require.Contains(t, r.stderr, "error: order.yaml:3:")
		})
	}
}
