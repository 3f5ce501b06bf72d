package orchestration

// stackRoom is roughly the stack that a statement needs.
const stackRoom = 12 << 10

// growStack makes the goroutine's stack large enough for statements, at once and while it
// is empty. Otherwise the runtime would move it three times on the way down through pgx,
// each time with more on it. That is a tenth of a step's time in Go.
//
//go:noinline
func growStack(zero int) byte {
	var room [stackRoom]byte
	return room[zero]
}
