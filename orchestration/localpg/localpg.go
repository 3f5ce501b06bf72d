package localpg

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5/pgconn"
)

// Options says which server to start. The zero value is the user's own
// database, which all commands share.
type Options struct {
	// Dir is where the database is kept. Default: [DefaultDir]. For an ephemeral
	// one, it is where its temporary folder is made. Default: [os.TempDir].
	Dir string

	// Ephemeral asks for a new, empty database in a temporary folder, which is
	// removed when the server stops. It does not wait for the disk, so a crash
	// of the machine may damage it.
	Ephemeral bool

	// BinDir is the folder of postgres and initdb. Default: the newest of
	// [Installations] that can read the data.
	BinDir string

	// Settings are further server settings, such as "log_statement": "all". A
	// command that joins a server that is up gets the settings it was started
	// with.
	Settings map[string]string
}

// Server is a share in a running PostgreSQL. Its methods may be called from any
// goroutine.
type Server struct {
	place     place
	options   Options
	lock      *lockFile
	closeOnce sync.Once
	closeErr  error
}

// The database and its superuser, and the database that initdb makes.
const (
	databaseName  = "tasker"
	userName      = "tasker"
	adminDatabase = "postgres"
)

// Start joins the server that is up, or starts it, and returns when it answers.
// The first start of all makes the database cluster, which takes about a
// second; later ones take about a tenth of one.
//
// Start fails with [ErrNoBinaries] where PostgreSQL is not installed. All its errors
// carry a hint ([errors.GetAllHints]) where there is something to do about them.
func Start(ctx context.Context, o Options) (*Server, error) {
	p, err := prepare(o)
	if err != nil {
		return nil, err
	}
	s := &Server{place: p, options: o}
	if err := s.start(ctx); err != nil {
		if o.Ephemeral {
			err = errors.CombineErrors(err, p.remove())
		}
		return nil, err
	}
	open.Store(s, nil)
	return s, nil
}

// open keeps every server reachable until it is closed. The garbage collector
// closes a file that nobody refers to, and with it would go the share.
var open sync.Map

// URL is the connection string of the database, for pgx, libpq and what is built
// on them. The user is a superuser.
func (s *Server) URL() string { return s.urlOf(databaseName) }

func (s *Server) urlOf(database string) string {
	query := url.Values{"host": {s.place.socketDir}, "port": {port}}
	u := url.URL{Scheme: "postgres", User: url.User(userName), Path: "/" + database, RawQuery: query.Encode()}
	return u.String()
}

// LogFile is the path of the server's log.
func (s *Server) LogFile() string { return s.place.log() }

// Close gives the share back. If it was the last one, Close returns when
// the server has stopped, with no process and no socket left. Close the
// connections first; the server ends those that are open.
func (s *Server) Close() error {
	s.closeOnce.Do(func() {
		open.Delete(s)
		s.closeErr = errors.CombineErrors(s.leave(), s.lock.Close())
		if s.options.Ephemeral {
			s.closeErr = errors.CombineErrors(s.closeErr, s.place.remove())
		}
	})
	return s.closeErr
}

func (s *Server) start(ctx context.Context) (err error) {
	if s.lock, err = openLock(s.place.lock()); err != nil {
		return errors.WithHint(errors.Wrap(err, "localpg"),
			"Run the command as the owner of the folder, set XDG_STATE_HOME to one that you can write, or set DATABASE_URL.")
	}
	defer func() {
		if err != nil {
			_ = s.lock.Close()
		}
	}()
	// With a share in hand, the supervisor that is there stays; with the start
	// byte, nobody else starts one.
	if err := s.lock.acquire(ctx, clientsByte, shared); err != nil {
		return errors.Wrap(err, "localpg: wait for the server that is stopping")
	}
	if err := s.lock.acquire(ctx, startByte, exclusive); err != nil {
		return errors.Wrap(err, "localpg: wait for another command that is starting the server")
	}
	if err := s.join(ctx); err != nil {
		return err
	}
	return s.lock.release(startByte)
}

// maxLaunches bounds how often one Start tries a server that dies as soon as it
// is up.
const maxLaunches = 3

// answerTimeout bounds how long a server that says it is ready may refuse
// connections.
const answerTimeout = time.Minute

// join makes the server answer: it starts a supervisor if there is none.
func (s *Server) join(ctx context.Context) error {
	var lastErr error
	deadline := time.Now().Add(answerTimeout)
	for launches := 0; ; {
		supervised, err := s.lock.holder(supervisorByte)
		if err != nil {
			return err
		}
		if supervised == free {
			if launches == maxLaunches {
				return errors.WithHintf(errors.Wrap(lastErr, "localpg: the server ends as soon as it is up"), "Its log is %s.", s.place.log())
			}
			launches++
			if err := s.launch(ctx); err != nil {
				return err
			}
			deadline = time.Now().Add(answerTimeout)
		}
		if lastErr = s.ensureDatabase(ctx); lastErr == nil {
			// A server that answers while its supervisor is gone is about to end.
			if kept, err := s.lock.holder(supervisorByte); kept != free || err != nil {
				return err
			}
			lastErr = errors.New("the supervisor was killed")
		}
		if err := pause(ctx); err != nil {
			return errors.Wrapf(err, "localpg: wait for the server to answer (%v)", lastErr)
		}
		if time.Now().After(deadline) {
			return errors.WithHintf(errors.Wrap(lastErr, "localpg: the server does not answer"), "Its log is %s.", s.place.log())
		}
	}
}

// ensureDatabase connects, and makes the database if it is missing.
func (s *Server) ensureDatabase(ctx context.Context) error {
	conn, err := pgconn.Connect(ctx, s.URL())
	if pgErr := (*pgconn.PgError)(nil); errors.As(err, &pgErr) && pgErr.Code == "3D000" { // invalid_catalog_name
		admin, err := pgconn.Connect(ctx, s.urlOf(adminDatabase))
		if err != nil {
			return errors.WithStack(err)
		}
		_, err = admin.Exec(ctx, "create database "+databaseName).ReadAll()
		return errors.CombineErrors(errors.WithStack(err), admin.Close(ctx))
	}
	if err != nil {
		return errors.WithStack(err)
	}
	return errors.WithStack(conn.Close(ctx))
}

// leaveTimeout bounds how long Close waits for the server to stop. The
// supervisor escalates sooner.
const leaveTimeout = 60 * time.Second

func (s *Server) leave() error {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	// Leaving one after the other, the last one knows that it is the last.
	if err := s.lock.acquire(ctx, startByte, exclusive); err != nil {
		return errors.Wrap(err, "localpg: wait for another command that is starting the server")
	}
	others, err := s.lock.holder(clientsByte)
	if err != nil {
		return err
	}
	err = errors.CombineErrors(s.lock.release(clientsByte), s.lock.release(startByte))
	if err != nil || others == shared {
		return err
	}
	for {
		if gone, err := s.gone(); gone || err != nil {
			return err
		}
		if err := pause(ctx); err != nil {
			return errors.WithHintf(errors.Wrap(err, "localpg: the server does not stop"), "Its log is %s.", s.place.log())
		}
	}
}

// gone tells whether the server has stopped, or is now another command's.
func (s *Server) gone() (bool, error) {
	clients, err := s.lock.holder(clientsByte)
	if err != nil || clients == shared {
		return true, err
	}
	for _, b := range []lockByte{supervisorByte, serverByte} {
		if kind, err := s.lock.holder(b); kind != free || err != nil {
			return false, err
		}
	}
	return true, nil
}

// settings are the options' settings as PostgreSQL takes them, in a fixed order.
func (s *Server) settings() []string {
	all := map[string]string{
		"listen_addresses":        "",
		"port":                    port,
		"unix_socket_directories": quoteList(s.place.socketDir),
		"unix_socket_permissions": "0700",
		"logging_collector":       "off",
		"log_destination":         "stderr",
		// The user has the name of the engine's schema, where its own tables would land.
		"search_path": "public",
	}
	if s.options.Ephemeral {
		maps.Copy(all, map[string]string{
			"fsync":              "off",
			"synchronous_commit": "off",
			"full_page_writes":   "off",
			"wal_level":          "minimal",
			"max_wal_senders":    "0",
			"jit":                "off",
		})
	}
	maps.Copy(all, s.options.Settings)
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		lines = append(lines, name+"="+all[name])
	}
	return lines
}
