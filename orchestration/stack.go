package orchestration

// stackRoom is about what a statement takes of its goroutine's stack.
const stackRoom = 12 << 10

// growStack makes the goroutine's stack large enough for statements, at once
// and while it is empty. It would otherwise be moved three times on the way down
// through pgx, each time with more on it: a tenth of what a step costs in Go.
//
//go:noinline
func growStack(zero int) byte {
	var room [stackRoom]byte
	return room[zero]
}
