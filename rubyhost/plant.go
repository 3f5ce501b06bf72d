//go:build !planted

package rubyhost

// plant does nothing. Only a program that is built with the tag planted leaks on
// purpose (bridge_planted.go), so that tests can see whether a leak is found.
func plant() {}
