package soak

import "time"

// Sample is what one process uses at a quiet point: no step runs, and Ruby and Go have
// collected everything that nothing refers to.
type Sample struct {
	Tasks    int64            `json:"tasks"` // ended so far, in this process
	Steps    int64            `json:"steps"` // handlers called so far, each attempt counted
	Values   map[string]int64 `json:"values"`
	Calls    map[string]int64 `json:"calls"` // so far, by handler class
	Ran      time.Duration    `json:"ran"`   // running tasks since the sample before
	Sampling time.Duration    `json:"sampling"`
}

// The keys of a sample's values. Those of slots by type are SlotsOfType and the type's
// name, such as slots_T_STRING. Those of slots by size are SlotsOfPool and the size, such as
// pool_40.
const (
	MallocInUse        = "malloc_in_use"
	RubySlots          = "ruby_slots"
	GoHeap             = "go_heap"
	RSS                = "rss"
	PSS                = "pss"
	MallocFree         = "malloc_free"
	ObjectMemory       = "object_memory"
	MallocIncrease     = "malloc_increase"
	LiveSlots          = "live_slots"
	OldObjects         = "old_objects"
	BridgeAllocations  = "bridge_allocations"
	BridgeBytes        = "bridge_bytes"
	Goroutines         = "goroutines"
	Threads            = "threads"
	Descriptors        = "descriptors"
	Connections        = "connections"
	PreparedStatements = "prepared_statements"
	ReplacedThreads    = "replaced_threads"
	SlotsOfType        = "slots_"
	SlotsOfPool        = "pool_"
)

// Kind is a kind of measure.
type Kind struct {
	Key     string
	Name    string
	Unit    string // bytes, or what is counted
	Decides bool   // the verdict is about it; the others explain
	quantum int64
	// smallest is the growth per step from which a measure is worth a note, in its unit. For
	// bytes it is the budget.
	smallest float64
}

// kinds are the measures that a report knows, in its order.
var kinds = []Kind{
	{Key: MallocInUse, Name: "native memory in use", Unit: "bytes", Decides: true, quantum: 16},
	{Key: RubySlots, Name: "Ruby heap in use", Unit: "bytes", Decides: true, quantum: 40},
	{Key: GoHeap, Name: "Go heap in use", Unit: "bytes", Decides: true, quantum: 8},
	{Key: RSS, Name: "resident memory (RSS)", Unit: "bytes", quantum: 4096},
	{Key: PSS, Name: "proportional memory (PSS)", Unit: "bytes", quantum: 1024},
	{Key: MallocFree, Name: "free memory that malloc keeps", Unit: "bytes", quantum: 16},
	{Key: ObjectMemory, Name: "native memory of Ruby objects", Unit: "bytes", quantum: 1},
	{Key: MallocIncrease, Name: "malloc_increase of Ruby", Unit: "bytes", quantum: 1},
	{Key: BridgeBytes, Name: "memory of the bridge", Unit: "bytes", quantum: 1},
	{Key: BridgeAllocations, Name: "allocations of the bridge", Unit: "allocations", quantum: 1, smallest: 0.001},
	{Key: LiveSlots, Name: "live objects", Unit: "objects", quantum: 1, smallest: 0.01},
	{Key: OldObjects, Name: "old objects", Unit: "objects", quantum: 1, smallest: 0.01},
	{Key: Goroutines, Name: "goroutines", Unit: "goroutines", quantum: 1, smallest: 0.001},
	{Key: Threads, Name: "threads", Unit: "threads", quantum: 1, smallest: 0.001},
	{Key: ReplacedThreads, Name: "Ruby threads replaced so far", Unit: "threads", quantum: 1, smallest: 0.001},
	{Key: Descriptors, Name: "open descriptors", Unit: "descriptors", quantum: 1, smallest: 0.001},
	{Key: Connections, Name: "database connections", Unit: "connections", quantum: 1, smallest: 0.001},
	{Key: PreparedStatements, Name: "prepared statements", Unit: "statements", quantum: 1, smallest: 0.001},
}
