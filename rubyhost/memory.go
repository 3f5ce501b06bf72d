package rubyhost

import (
	"context"
	"encoding/json"

	"github.com/cockroachdb/errors"
)

// Memory is what the interpreter and the allocator use.
type Memory struct {
	Allocator   string // "glibc 2.36" or "jemalloc 5.3.0"; empty if it cannot be asked
	MallocInUse uint64 // bytes of the whole process, blocks with a mapping of their own included
	MallocFree  uint64 // bytes that the allocator keeps

	BridgeAllocations uint64 // made by the bridge's own C code, and not freed yet
	BridgeBytes       uint64

	LiveSlots      uint64
	SlotBytes      uint64 // of the live slots, each with the size of its pool
	OldObjects     uint64
	MallocIncrease uint64            // bytes allocated by C code since the last collection
	SlotsByType    map[string]uint64 // by T_STRING and so on; Ruby's internal objects included
	// SlotsByPool counts live slots by their size in bytes. CRuby 3.2 says only how many
	// slots there are of each size. So with 3.2 free slots count too, and SlotBytes
	// supposes that the live slots have the same mix of sizes.
	SlotsByPool map[uint64]uint64
	// ObjectMemory is the native memory that objects claim for themselves, without their
	// slots. It is 0 unless MemoryOptions.Objects asked for it.
	ObjectMemory uint64
}

// MemoryOptions say how [Host.Memory] measures.
type MemoryOptions struct {
	// Collect lets Ruby collect first, until no further object is freed, three times
	// at most. What remains is in use. It stops Ruby code, for some ten milliseconds each.
	Collect bool
	Objects bool // fill ObjectMemory: walks the heap, and needs Ruby's objspace
}

// Memory measures. It asks Ruby, and waits for a worker thread as any call does. It
// leaves nothing behind: a heap in which nothing else happens gives the same numbers again.
func (h *Host) Memory(ctx context.Context, o MemoryOptions) (Memory, error) {
	value, err := h.call(ctx, opMemory, flag(o.Collect), flag(o.Objects))
	if err != nil {
		return Memory{}, errors.Wrap(err, "rubyhost: measuring Ruby's heap")
	}
	var m Memory
	if err := json.Unmarshal(value, &m); err != nil {
		return Memory{}, errors.Wrap(err, "rubyhost: the numbers of Ruby's heap")
	}
	m.MallocInUse, m.MallocFree, _ = h.Malloc()
	m.Allocator = allocatorName()
	m.BridgeAllocations, m.BridgeBytes = bridgeOutstanding()
	return m, nil
}

// Malloc returns the bytes that malloc has in use in this process, and those that it
// keeps free. It asks glibc or jemalloc, whichever serves; ok is false for another
// allocator. It never waits for Ruby. Before glibc 2.33 the figures begin again at 4 GB.
func (h *Host) Malloc() (inUse, free uint64, ok bool) { return mallocUse() }

func flag(set bool) []byte {
	if set {
		return []byte("1")
	}
	return []byte("0")
}
