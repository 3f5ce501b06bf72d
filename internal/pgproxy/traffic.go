package pgproxy

// Traffic is what a server has done for its clients, as its answers say. A client that
// has an answer finds it counted.
type Traffic struct {
	// Statements is how many statements have completed.
	Statements int
	// RoundTrips is how often the server was ready again after statements. A client that
	// only prepares statements, or sends an empty query, makes none: how often it does
	// that depends on which of its connections it happens to use.
	RoundTrips int
	// Commits is how many round trips ended a transaction that was not rolled back. A
	// statement without a transaction of its own has one.
	Commits int
}

func (t *Traffic) add(other Traffic) {
	t.Statements += other.Statements
	t.RoundTrips += other.RoundTrips
	t.Commits += other.Commits
}

// Minus returns what was added to t since other.
func (t Traffic) Minus(other Traffic) Traffic {
	return Traffic{
		Statements: t.Statements - other.Statements,
		RoundTrips: t.RoundTrips - other.RoundTrips,
		Commits:    t.Commits - other.Commits,
	}
}

// Traffic returns the sum over all connections so far that all matches accept, also over
// those that have ended.
func (p *Proxy) Traffic(matches ...Match) Traffic {
	p.mu.Lock()
	defer p.mu.Unlock()
	var sum Traffic
	for l := range p.links {
		if l.known.matches(matches) {
			sum.add(l.counted.Traffic)
		}
	}
	for _, e := range p.past {
		if e.known.matches(matches) {
			sum.add(e.traffic)
		}
	}
	return sum
}

// endedLink is what remains of a link.
type endedLink struct {
	known   Connection
	traffic Traffic
}

// counter counts the answers on one connection.
type counter struct {
	Traffic
	inTrip  int    // statements since the server was ready
	lastTag string // of these
	failed  bool   // one of these failed
}

// note reads a message of the server.
func (c *counter) note(message []byte) {
	switch message[0] {
	case typeCommandComplete:
		c.Statements++
		c.inTrip++
		c.lastTag = tagOf(message)
	case typeErrorResponse:
		c.failed = true
	case typeReadyForQuery:
		if c.inTrip > 0 {
			c.RoundTrips++
			if string(body(message)) == idle && !c.failed && c.lastTag != "ROLLBACK" {
				c.Commits++
			}
		}
		c.inTrip, c.lastTag, c.failed = 0, "", false
	}
}

// idle is the state in a ReadyForQuery outside a transaction.
const idle = "I"
