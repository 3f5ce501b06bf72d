package orchestration

// The statements of a prune, and of submissions that may have to be refused.
var (
	PruneSQL, CountPrunedSQL, PlannedOnceSQL = pruneSQL, countPrunedSQL, plannedOnceSQL
	OfIdentitiesSQL                          = ofIdentitiesSQL
)
