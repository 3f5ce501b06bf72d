package localpg

import (
	"context"
	"maps"
	"net/url"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5/pgconn"
)

// Options says which server to start. The zero value means the database of the
// project, which all commands that are run in it share.
type Options struct {
	// Dir is the folder of the database. Default: [DefaultDir]. The temporary
	// folder of an ephemeral database is made in Dir. Default: [os.TempDir].
	Dir string

	// Ephemeral asks for a new, empty database in a temporary folder. The folder
	// is removed when the server stops. The server does not wait for the disk, so
	// a crash of the machine may damage the database.
	Ephemeral bool

	// BinDir is the folder of postgres and initdb. Default: the newest of
	// [Installations] that can read the data.
	BinDir string

	// Settings are further server settings, such as "log_statement": "all". They
	// are used when this command starts the server. If it joins a running server,
	// that one keeps its settings.
	Settings map[string]string

	// Prepared, with Ephemeral, begins with a copy of a database that was made once, in
	// place of an empty one.
	Prepared *Prepared `json:"-"`
}

// Server is a share in a running PostgreSQL. Its methods may be called from any
// goroutine.
type Server struct {
	place     place
	options   Options
	files     files
	lock      *lockFile
	made      bool  // by this command
	logged    int64 // how long the log was when this command came
	closeOnce sync.Once
	closeErr  error
}

// The database, its superuser, and the database that initdb makes.
const (
	databaseName  = "tasker"
	userName      = "tasker"
	adminDatabase = "postgres"
)

// Start joins the running server, or starts it, and returns when it answers. The
// first start makes the data, which takes about a second. Later starts take about
// a tenth of a second.
//
// Start fails with [ErrNoBinaries] if PostgreSQL is not installed. Its errors carry
// a hint ([errors.GetAllHints]) if the user can do something about them.
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.Prepared != nil {
		return startPrepared(ctx, o)
	}
	return startOn(ctx, o, files{})
}

func startOn(ctx context.Context, o Options, from files) (*Server, error) {
	p, err := prepare(o)
	if err != nil {
		return nil, err
	}
	s := &Server{place: p, options: o, files: from}
	if err = s.start(ctx); err != nil {
		if o.Ephemeral {
			err = errors.CombineErrors(err, p.remove())
		}
		return nil, err
	}
	open.Store(s, nil)
	return s, nil
}

// open keeps every server reachable until it is closed. Otherwise the garbage
// collector would close its lock file, and the share would be lost.
var open sync.Map

// URL returns the connection string of the database, for pgx, libpq and libraries
// on top of them. The user is a superuser.
func (s *Server) URL() string { return s.urlOf(databaseName) }

func (s *Server) urlOf(database string) string {
	query := url.Values{"host": {s.place.socketDir}, "port": {port}}
	u := url.URL{Scheme: "postgres", User: url.User(userName), Path: "/" + database, RawQuery: query.Encode()}
	return u.String()
}

// Made reports whether Start has made the database, and not found it.
func (s *Server) Made() bool { return s.made }

// Dir returns the folder of the database.
func (s *Server) Dir() string { return s.place.base }

// LogFile returns the path of the server's log.
func (s *Server) LogFile() string { return s.place.log() }

// Close gives the share back. If it was the last share, Close returns when the
// server has stopped, and no process and no socket remains. Close your connections
// before; the server ends the open ones.
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

// start takes the share and makes the server answer.
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
	if s.options.Dir == "" && !s.options.Ephemeral {
		if err := s.noteProject(); err != nil {
			return err
		}
	}
	// While this command holds a share, a running supervisor stays. While it holds
	// the start byte, no other command starts one.
	if err := s.lock.acquire(ctx, clientsByte, shared); err != nil {
		return errors.Wrap(err, "localpg: wait for the server that is stopping")
	}
	if err := s.lock.acquire(ctx, startByte, exclusive); err != nil {
		return errors.Wrap(err, "localpg: wait for another command that is starting the server")
	}
	there := HasData(s.place.base)
	if info, err := os.Stat(s.place.log()); err == nil {
		s.logged = info.Size()
	}
	if err := s.join(ctx); err != nil {
		return err
	}
	s.made = !there
	return s.lock.release(startByte)
}

// maxLaunches bounds how often one Start launches a server that dies right after
// its start.
const maxLaunches = 3

// answerTimeout bounds how long a server that has reported to be ready may refuse
// connections.
const answerTimeout = time.Minute

func (s *Server) noteProject() error {
	project, err := Project()
	if err != nil {
		return err
	}
	return s.place.note(project)
}

// join waits until the server answers. It launches a supervisor if none lives.
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
				return errors.WithHintf(errors.Wrap(lastErr, "localpg: the server ends right after its start"), "Its log is %s.", s.place.log())
			}
			launches++
			if err := s.launch(ctx); err != nil {
				return err
			}
			deadline = time.Now().Add(answerTimeout)
		}
		if lastErr = s.ensureDatabase(ctx); lastErr == nil {
			// A server whose supervisor is gone still answers for a moment, and ends.
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

// ensureDatabase connects to the database, and makes it if it does not exist.
func (s *Server) ensureDatabase(ctx context.Context) error {
	conn, err := connect(ctx, s.URL())
	if pgErr := (*pgconn.PgError)(nil); errors.As(err, &pgErr) && pgErr.Code == "3D000" { // invalid_catalog_name
		admin, err := connect(ctx, s.urlOf(adminDatabase))
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

// connect opens a connection that pg_stat_activity shows as tasker-rb's.
func connect(ctx context.Context, address string) (*pgconn.PgConn, error) {
	config, err := pgconn.ParseConfig(address)
	if err != nil {
		return nil, err
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "tasker-rb"
	}
	return pgconn.ConnectConfig(ctx, config)
}

// leaveTimeout bounds how long Close waits for the server to stop. The supervisor
// kills the server sooner than that.
const leaveTimeout = 60 * time.Second

// leave gives the share back, and waits for the server's end if it was the last.
func (s *Server) leave() error {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	// Commands leave one after the other, so the last one can know that it is.
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

// gone reports whether the server has stopped, or another command now has a share
// in it.
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

// settings returns the server's settings as arguments of postgres, sorted by name.
func (s *Server) settings() []string {
	all := map[string]string{
		"listen_addresses":        "",
		"port":                    port,
		"unix_socket_directories": quoteList(s.place.socketDir),
		"unix_socket_permissions": "0700",
		"logging_collector":       "off",
		"log_destination":         "stderr",
		// By default the schema with the user's name comes first, and that is the
		// engine's schema: tables of handlers would be made there.
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
