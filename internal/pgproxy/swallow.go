package pgproxy

// A Fate is what happens to a connection whose answer was swallowed.
type Fate int

const (
	// ThenCut closes the connection as [Proxy.Cut] does.
	ThenCut Fate = iota
	// ThenSilence leaves the client's end open and silent, as [Proxy.HalfOpen] does.
	ThenSilence
)

// swallowing says which answers get lost. Proxy.mu guards it.
type swallowing struct {
	left    int
	chosen  func(tag string) bool
	fate    Fate
	matches []Match
}

// SwallowCommitAnswers loses the answers to the next n commits. The server gets and
// executes each COMMIT, but the client never sees that it did. Then the connection
// meets its fate. A COMMIT that the server answers with ROLLBACK does not count.
//
// A statement without a transaction of its own has no COMMIT;
// [Proxy.SwallowAnswers] is for those.
func (p *Proxy) SwallowCommitAnswers(n int, fate Fate, matches ...Match) {
	p.SwallowAnswers(n, func(tag string) bool { return tag == "COMMIT" }, fate, matches...)
}

// SwallowAnswers loses the answers to the next n statements whose command tag, such
// as "INSERT 0 1", chosen accepts. The client gets nothing from that tag on. The
// connection meets its fate when the server is ready for the next query. So
// everything that was sent together with the statement is committed by then, unless
// it is in a transaction that is still open, or failed. A second call replaces the
// first; with an n of 0 it ends it.
//
// chosen is called with a lock held. It must not call the proxy.
func (p *Proxy) SwallowAnswers(n int, chosen func(tag string) bool, fate Fate, matches ...Match) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.swallow = &swallowing{left: n, chosen: chosen, fate: fate, matches: matches}
}

// Swallowed returns how many connections have lost an answer so far and met their
// fate.
func (p *Proxy) Swallowed() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.swallowed
}

// note reads an answer of the server. pass says whether the client may see it. lost
// says that an answer was swallowed, and that the server has done everything that was
// sent with it.
func (l *link) note(message []byte) (pass, lost bool) {
	p := l.proxy
	p.mu.Lock()
	defer p.mu.Unlock()
	l.known.noteAnswer(message)
	l.counted.note(message)
	if s := p.swallow; l.losing == nil && message[0] == typeCommandComplete && s != nil && s.left > 0 &&
		s.chosen(tagOf(message)) && l.known.matches(s.matches) {
		s.left--
		l.losing = s
	}
	return l.losing == nil, l.losing != nil && message[0] == typeReadyForQuery
}

// lose lets the link meet its fate. It waits while the link is stalled.
func (l *link) lose() {
	p := l.proxy
	p.mu.Lock()
	defer p.mu.Unlock()
	l.mayWrite() // if it may not, another fault came first
	if l.losing.fate == ThenSilence {
		l.silence()
	} else {
		l.reset()
	}
	p.swallowed++
	p.changed.Broadcast()
}
