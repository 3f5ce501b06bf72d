// Package verdict decides from samples whether memory grows: flat, leak or undecided.
package verdict
