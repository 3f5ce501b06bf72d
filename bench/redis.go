package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/errors"
)

// redisServer is a Redis of our own, with the defaults of the distribution. For what
// costs time they are the defaults of the program: snapshots, no append-only file.
type redisServer struct {
	*process
	socket string
	dirs   []string // its own ones
}

// startRedis starts a server with its files in a folder below parent.
func startRedis(ctx context.Context, parent string) (*redisServer, error) {
	dir, err := os.MkdirTemp(parent, "redis-")
	if err != nil {
		return nil, errors.WithStack(err)
	}
	sockets, err := os.MkdirTemp("", "redis-") // the path of a socket must be short
	if err != nil {
		return nil, errors.WithStack(err)
	}
	s := &redisServer{socket: filepath.Join(sockets, "socket"), dirs: []string{dir, sockets}}
	cmd := exec.Command("redis-server", "--port", "0", "--unixsocket", s.socket, "--dir", dir, "--daemonize", "no")
	if s.process, err = start(cmd, dir); err != nil {
		return nil, err
	}
	err = s.until(ctx, 5*time.Millisecond, func() (bool, error) {
		_, err := s.ask("PING")
		return err == nil, nil
	})
	if err != nil {
		return nil, errors.CombineErrors(err, s.stop())
	}
	return s, nil
}

func (s *redisServer) stop() error {
	err := s.process.stop()
	for _, dir := range s.dirs {
		err = errors.CombineErrors(err, os.RemoveAll(dir))
	}
	return err
}

func (s *redisServer) url() string { return "unix://" + s.socket }

// ask sends one command, and returns an answer of one line or one string.
func (s *redisServer) ask(command string) (string, error) { return askRedis(s.socket, command) }

func askRedis(socket, command string) (string, error) {
	conn, err := net.DialTimeout("unix", socket, time.Second)
	if err != nil {
		return "", errors.WithStack(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := fmt.Fprintf(conn, "%s\r\n", command); err != nil {
		return "", errors.WithStack(err)
	}
	answers := bufio.NewReader(conn)
	line, err := answers.ReadString('\n')
	if err != nil {
		return "", errors.WithStack(err)
	}
	line = strings.TrimSpace(line)
	switch {
	case strings.HasPrefix(line, "-"):
		return "", errors.Newf("redis: %s: %s", command, line[1:])
	case strings.HasPrefix(line, "$-"):
		return "", nil
	case strings.HasPrefix(line, "$"):
		line, err = answers.ReadString('\n')
		return strings.TrimSpace(line), errors.WithStack(err)
	}
	return line[1:], nil
}

// expectInRedis fails unless a key has the number.
func expectInRedis(url string, want int, what, key string) error {
	answer, err := askRedis(strings.TrimPrefix(url, "unix://"), "GET "+key)
	if err != nil {
		return err
	}
	if answer != strconv.Itoa(want) {
		return errors.Newf("%q %s, and %d were to be done", answer, what, want)
	}
	return nil
}
