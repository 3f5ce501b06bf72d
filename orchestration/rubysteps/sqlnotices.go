package rubysteps

import (
	"encoding/binary"
	"encoding/json"

	"github.com/jackc/pgx/v5/pgconn"
)

// maxNotices is how many notices of one statement Ruby gets; the others are dropped.
const maxNotices = 1000

// heard are the notices of one statement.
type heard struct{ notices []wireFailure }

func (h *heard) add(n *pgconn.Notice) {
	if len(h.notices) == maxNotices {
		return
	}
	w := wireFailure{State: n.Code, Message: n.Message, Detail: n.Detail, Hint: n.Hint}
	w.describe((*pgconn.PgError)(n))
	h.notices = append(h.notices, w)
}

// before puts the notices before the reply to their statement: W, their length u32 and
// them as JSON.
func (h *heard) before(reply []byte) []byte {
	if h == nil || len(h.notices) == 0 {
		return reply
	}
	notices, err := json.Marshal(h.notices)
	if err != nil {
		return reply
	}
	b := binary.LittleEndian.AppendUint32([]byte{'W'}, uint32(len(notices)))
	return append(append(b, notices...), reply...)
}
