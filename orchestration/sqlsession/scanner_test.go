package sqlsession

import "testing"

// The scanner ends on every text, and always moves forward.
func FuzzClassify(f *testing.F) {
	for _, s := range []string{"select 1", "'", `E'\'`, "$a$", "/*/*", `"`, "begin atomic", "copy", "$1$", "--"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		s := scanner{text: sql}
		for more := true; more; {
			before := s.at
			_, end, again := s.statement()
			if end > len(sql) || s.at > len(sql) || again && s.at <= before {
				t.Fatalf("at %d, the end at %d of %d", s.at, end, len(sql))
			}
			more = again
		}
		classify(sql)
	})
}
