// Package tree reads YAML and JSON into one document tree and writes it back as
// JSON. The tree loses nothing that a template or a task's context relies on:
// mappings keep their order, numbers keep the text they were written with, and
// every node knows its line and column.
//
// The readers report all faults at once. They also report faults that the usual
// decoders accept: duplicate keys, values without a JSON form, text that is not
// UTF-8, and alias bombs.
package tree
