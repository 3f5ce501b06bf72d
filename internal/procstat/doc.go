// Package procstat says what the kernel knows of this process: its memory, threads and
// open descriptors. It reads /proc, so it works on Linux alone.
package procstat
