package localpg

import "golang.org/x/sys/unix"

// enoughMemory is how many bytes a file system in memory must have free for databases
// to be put there. Each takes some 8 MB.
const enoughMemory = 2 << 30

// MemoryDir returns a folder in memory for [Options.Dir] of an ephemeral server, or ""
// if there is none with enough room. A new database is 300 new files: that takes 10 ms
// in memory and up to 300 ms on a disk.
func MemoryDir() string {
	const dir = "/dev/shm"
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil || fs.Type != unix.TMPFS_MAGIC || fs.Bavail*uint64(fs.Bsize) < enoughMemory {
		return ""
	}
	return dir
}
