// Package tree reads YAML and JSON into one small document tree that loses
// nothing a template or a task context may rely on: mappings keep their order,
// numbers keep the text they were written with, and every node knows its line
// and column. It finds what the usual decoders let pass in silence (duplicate
// keys, values without a JSON form, text that is not UTF-8, alias bombs) and
// reports all of it at once. It writes JSON back, exactly.
package tree
