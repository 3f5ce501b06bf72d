package sqlsession

import (
	"context"
	"slices"
	"strings"
)

// Settings are the SET statements of a logical connection. They are in force only
// while its own statements run, and never longer than a transaction. They are
// compared by address and must not change.
type Settings struct {
	Set []Setting
}

// Setting is the text of a SET statement behind SET [SESSION].
type Setting struct {
	Name string
	Text string // "search_path TO app, public"
}

// has reports whether the settings set this name; nil settings set none.
func (s *Settings) has(name string) bool {
	return s != nil && slices.ContainsFunc(s.Set, func(n Setting) bool { return n.Name == name })
}

// settingsBefore appends to texts the SET statements that the statement needs,
// and notes that they will be in force.
//
// There are four cases. Inside a transaction they are SET LOCAL. Outside, a
// statement that can run in a transaction of its own gets one, with SET LOCAL in
// the same round trip; nothing remains on the connection. Any other statement finds them
// SET on the connection; giveBack takes them off. Where the backend is shared, sendOwn
// has set them, if the statement can be in a transaction at all.
func (s *Session) settingsBefore(texts []string, st *Statement, parts []part) []string {
	if st.Settings == s.settings || s.conn.status() == inError { // only ROLLBACK and ROLLBACK TO can run there
		return texts
	}
	local, last := "set local ", s.settings
	switch alone := !s.step && s.conn.status() == idle; {
	case alone && len(parts) == 1 && parts[0].kind == begins:
		return texts // they come with the first statement of the transaction
	case alone && isPreparable(parts) && parts[0].kind == other:
	case alone && s.conn.shares():
		return texts // the next statement may run elsewhere
	case alone:
		local, s.lasting = "set ", st.Settings
		fallthrough
	default:
		s.settings = st.Settings
	}
	if last != nil {
		for _, old := range last.Set {
			if !st.Settings.has(old.Name) {
				texts = append(texts, local+old.Name+" to default")
			}
		}
	}
	if st.Settings != nil {
		for _, n := range st.Settings.Set {
			texts = append(texts, local+n.Text)
		}
	}
	return texts
}

// unset takes the settings off a connection that others will use.
func (s *Session) unset(ctx context.Context) {
	if s.lasting == nil {
		return
	}
	var text strings.Builder
	for _, setting := range s.lasting.Set {
		text.WriteString("set " + setting.Name + " to default;")
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), hardStop)
	defer cancel()
	if _, err := s.conn.pg().Exec(ctx, text.String()).ReadAll(); err != nil {
		s.conn.spoiled = true
	}
}
