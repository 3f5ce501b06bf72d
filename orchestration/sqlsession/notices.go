package sqlsession

import "github.com/jackc/pgx/v5/pgconn"

// noticesKey is the key of a statement's OnNotice in a connection's custom data.
const noticesKey = "tasker-rb/notices"

// ReceiveNotices has connections hand the server's notices to the statement that caused
// them; see [Statement]. Call it before the connections are opened. An OnNotice that the
// configuration has already is called first.
func ReceiveNotices(config *pgconn.Config) {
	before := config.OnNotice
	config.OnNotice = func(pg *pgconn.PgConn, notice *pgconn.Notice) {
		if before != nil {
			before(pg, notice)
		}
		if to, ok := pg.CustomData()[noticesKey].(func(*pgconn.Notice)); ok {
			to(notice)
		}
	}
}

// hear hands the notices on until deaf is called.
func (c *connection) hear(to func(*pgconn.Notice)) (deaf func()) {
	if to == nil {
		return func() {}
	}
	custom := c.pg().CustomData()
	custom[noticesKey] = to
	return func() { delete(custom, noticesKey) }
}
