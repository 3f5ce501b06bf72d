// Package costs compares what something costs with what it cost before. It is for
// figures that are the same in each run on each machine: how many statements, rows,
// allocations or instructions.
//
// The figures are in a file of the package that is tested, testdata/costs.txt, which
// reads as a table. A test states the figures it has counted:
//
//	sheet := costs.Open(t, "testdata/costs.txt")
//	sheet.Section("a call", "allocations")
//	sheet.Is("an empty call", costs.Exact(4))
//
// A figure that differs fails the test, whether it is higher or lower: so the file stays
// true. With the flag -update the test writes the file anew instead. A figure that
// depends on the version of a tool belongs to a version, see [Sheet.OfVersion].
package costs
