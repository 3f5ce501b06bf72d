// Package sqlsession runs the SQL of step handlers. A [Session] is either a
// step's transaction, begun with its first statement and ended by the engine
// alone, or, outside steps, a connection on which whoever uses it begins and
// ends transactions as they like. It keeps the rules that docs/transactions.md
// states: no text ends a step's transaction, savepoints belong to the thread
// that set them, what failed stays failed under its own name, and a statement
// ends with the context it was run for. It knows no Ruby and no engine.
package sqlsession
