package sqlsession

import "slices"

// Touches reports whether a text may change one of the engine's settings.
func Touches(sql string) bool { return slices.ContainsFunc(classify(sql), touches) }
