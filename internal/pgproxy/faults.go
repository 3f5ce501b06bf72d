package pgproxy

// Stall holds back everything on the connections that all matches accept. They stay
// open. Without a match it also stalls the connections that are accepted later.
func (p *Proxy) Stall(matches ...Match) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stalled = p.stalled || len(matches) == 0
	stalled := p.chosen(matches)
	for _, l := range stalled {
		l.stall()
	}
	for _, l := range stalled {
		for l.stalled && l.writers > 0 {
			p.changed.Wait()
		}
	}
}

// Resume ends Stall. What was held back arrives. Without a match it also lets new
// connections through.
func (p *Proxy) Resume(matches ...Match) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stalled = p.stalled && len(matches) > 0
	for _, l := range p.chosen(matches) {
		l.stalled = false
	}
	p.changed.Broadcast()
}

// Cut closes the connections. Their clients see a reset. So does the server, if it
// is reached by TCP.
func (p *Proxy) Cut(matches ...Match) {
	p.mu.Lock()
	defer p.mu.Unlock()
	cut := p.chosen(matches)
	for _, l := range cut {
		l.reset()
	}
	for _, l := range cut {
		for p.links[l] {
			p.changed.Wait()
		}
	}
}

// HalfOpen closes the server's end of the connections. The client's end stays open
// and silent: the proxy reads what the client sends, and answers nothing. New
// connections work.
func (p *Proxy) HalfOpen(matches ...Match) {
	p.mu.Lock()
	defer p.mu.Unlock()
	silent := p.chosen(matches)
	for _, l := range silent {
		l.silence()
	}
	for _, l := range silent {
		for l.writers > 0 {
			p.changed.Wait()
		}
	}
}

// Refuse resets each new connection at once, until Accept. The present ones stay.
func (p *Proxy) Refuse() { p.setRefusing(true) }

// Accept ends Refuse.
func (p *Proxy) Accept() { p.setRefusing(false) }

func (p *Proxy) setRefusing(refusing bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusing = refusing
}

// chosen returns the links that all matches accept. The caller must hold p.mu.
func (p *Proxy) chosen(matches []Match) []*link {
	var chosen []*link
	for l := range p.links {
		if l.known.matches(matches) {
			chosen = append(chosen, l)
		}
	}
	return chosen
}
