package pgproxy

import (
	"encoding/binary"
	"slices"
)

// Connection is what the proxy knows of one connection.
type Connection struct {
	// ApplicationName is the name that the client has given itself last.
	ApplicationName string
	User, Database  string
	// PID is the process of the server, as in pg_stat_activity. It is 0 before the
	// server has accepted the connection.
	PID int
	// Listened is true if the client has executed LISTEN.
	Listened bool
	// Replication is true if the client asked for the replication protocol.
	Replication bool
	// Cancel is true if the connection only asks to cancel a statement of another.
	Cancel bool
	// HalfOpen is true if only the client's end is left.
	HalfOpen bool
}

// A Match chooses connections.
type Match func(Connection) bool

// Listened chooses the connections that have executed LISTEN.
func Listened(c Connection) bool { return c.Listened }

// Named chooses the connections with this application_name.
func Named(applicationName string) Match {
	return func(c Connection) bool { return c.ApplicationName == applicationName }
}

// Not chooses the connections that match does not choose.
func Not(match Match) Match { return func(c Connection) bool { return !match(c) } }

func (c Connection) matches(all []Match) bool {
	return !slices.ContainsFunc(all, func(m Match) bool { return !m(c) })
}

// noteStart reads the packet that begins a session.
func (c *Connection) noteStart(packet []byte) {
	values := stringsIn(packet[2*lengthSize:])
	for i := 0; i+1 < len(values); i += 2 {
		switch value := values[i+1]; values[i] {
		case "user":
			c.User = value
		case "database":
			c.Database = value
		case "application_name":
			c.ApplicationName = value
		case "replication":
			c.Replication = value != "false" && value != "off" && value != "0"
		}
	}
}

// noteAnswer reads a message of the server.
func (c *Connection) noteAnswer(message []byte) {
	switch message[0] {
	case typeParameterStatus:
		if values := stringsIn(body(message)); len(values) > 0 && values[0] == "application_name" {
			c.ApplicationName = ""
			if len(values) > 1 {
				c.ApplicationName = values[1]
			}
		}
	case typeBackendKeyData:
		if b := body(message); len(b) >= lengthSize {
			c.PID = int(binary.BigEndian.Uint32(b))
		}
	case typeCommandComplete:
		c.Listened = c.Listened || tagOf(message) == "LISTEN"
	}
}

// tagOf returns the tag of a CommandComplete, such as "COMMIT" or "INSERT 0 1".
func tagOf(message []byte) string {
	if values := stringsIn(body(message)); len(values) > 0 {
		return values[0]
	}
	return ""
}
