package localpg

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/cockroachdb/errors"
)

// supervisorName is the name (os.Args[0]) that makes this executable a supervisor.
// ps shows it.
const supervisorName = "tasker-rb-localpg"

// The supervisor is started in two stages. The first stage starts the second one
// and ends. So the supervisor is no child of the first command: the command need
// not wait for it, and it does not notice the command's end.
const (
	detachStage    = "detach"
	superviseStage = "supervise"
)

// spec is the supervisor's task. It reads it as JSON from its standard input.
type spec struct {
	Base      string   `json:"base"`
	SocketDir string   `json:"socket_dir"`
	BinDir    string   `json:"bin_dir"`
	Account   *account `json:"account"`
	Ephemeral bool     `json:"ephemeral"`
	Settings  []string `json:"settings"`
	Archive   string   `json:"archive"` // where the data comes from, or ""
	PackTo    string   `json:"pack_to"` // where the data goes in the end, or ""
}

func (s spec) place() place { return place{s.Base, s.SocketDir, s.Account} }

// report is the supervisor's answer once the server is ready or cannot be started.
// It writes it as JSON to the pipe replyFD.
type report struct {
	Ready   bool   `json:"ready"`
	Message string `json:"message"`
	Hint    string `json:"hint"`
}

const replyFD = 3

// self is this executable, even if its file has been replaced or removed.
const self = "/proc/self/exe"

// launch starts a supervisor and waits until its server is ready. The caller must
// have the start byte.
func (s *Server) launch(ctx context.Context) error {
	installation, err := choose(ctx, s.options, s.place.dataDir())
	if err != nil {
		return err
	}
	if err := s.place.makeSocketDir(); err != nil {
		return err
	}
	input, err := json.Marshal(spec{
		Base:      s.place.base,
		SocketDir: s.place.socketDir,
		BinDir:    installation.BinDir,
		Account:   s.place.account,
		Ephemeral: s.options.Ephemeral,
		Settings:  s.settings(),
		Archive:   s.files.archive,
		PackTo:    s.files.packTo,
	})
	if err != nil {
		return errors.WithStack(err)
	}
	log, err := openLog(s.place.log())
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	replies, replyEnd, err := os.Pipe()
	if err != nil {
		return errors.WithStack(err)
	}
	defer func() { _ = replies.Close() }()

	cmd := exec.CommandContext(ctx, self)
	cmd.Args = []string{supervisorName, detachStage, s.place.base}
	cmd.Dir = "/"
	cmd.Stdin = bytes.NewReader(input)
	cmd.Stderr = log
	cmd.ExtraFiles = []*os.File{replyEnd}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Run()
	_ = replyEnd.Close() // the supervisor has its own
	if ctx.Err() != nil {
		err = context.Cause(ctx) // the end of ctx killed the first stage
	}
	if err != nil {
		return errors.Wrap(err, "localpg: start the supervisor")
	}
	return s.awaitReport(ctx, replies)
}

// awaitReport waits for the supervisor's report.
func (s *Server) awaitReport(ctx context.Context, replies *os.File) error {
	stop := context.AfterFunc(ctx, func() { _ = replies.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	answer, err := io.ReadAll(replies)
	if ctx.Err() != nil {
		return errors.Wrap(ctx.Err(), "localpg: wait for the server to start")
	}
	if err != nil {
		return errors.Wrap(err, "localpg: read the supervisor's answer")
	}
	var r report
	if err := json.Unmarshal(answer, &r); err != nil {
		return errors.WithHintf(errors.New("localpg: the supervisor ended without an answer"), "The server's log is %s.", s.place.log())
	}
	if r.Ready {
		return nil
	}
	err = errors.Newf("localpg: %s", strings.TrimSpace(r.Message))
	if r.Hint != "" {
		err = errors.WithHint(err, r.Hint)
	}
	return err
}

// maxLogSize is the size in bytes above which a start begins a new log. It keeps
// one old log.
const maxLogSize = 1 << 20

func openLog(path string) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && info.Size() > maxLogSize {
		if err := os.Rename(path, path+".old"); err != nil {
			return nil, errors.WithStack(err)
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	return f, errors.WithHint(errors.Wrap(err, "localpg: open the server's log"),
		"Make the folder writable, set XDG_STATE_HOME to one that is, or set DATABASE_URL.")
}
