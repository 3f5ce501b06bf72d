package procstat

// Stat is what this process uses.
type Stat struct {
	RSS         uint64 // bytes of memory that are resident
	PSS         uint64 // the same, but a page that n processes share counts 1/n
	Threads     int    // of the kernel, Go's own too
	Descriptors int    // open
}
