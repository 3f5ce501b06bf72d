package templates

import "strconv"

// First returns a template with the first n of Steps. They are those of the file that
// depend on no other, so it is valid. Its version says what it is, "1.0.0-first.2": the
// tasks of both can be in one database. For n of 0, or as many as there are, it is t.
func (t *Template) First(n int) (*Template, error) {
	if n <= 0 || n >= len(t.Steps) {
		return t, nil
	}
	root := t.document()
	steps := root.Get("step_templates").Value
	steps.Items = steps.Items[:n]
	root.Get("version").Value.Text += "-first." + strconv.Itoa(n)
	return Decode(root.AppendJSON(nil))
}
