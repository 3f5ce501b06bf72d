package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/cockroachdb/errors"

	"github.com/tasker-rb/tasker-rb/internal/soak"
)

// otherVersion is the version of the handlers that a soak run compares with.
type otherVersion struct {
	name     string
	from, to string // folders below from are read below to; "" with a folder in place of the handlers
	handlers []string
	git      string // the repository of the worktree, or ""
}

// otherVersion finds the handlers of --against: a folder, or a ref of the repository that
// holds the handlers, which gets a worktree of its own.
func (s *soakCommand) otherVersion(ctx context.Context, spec *soak.Spec, place *soakPlace) (*otherVersion, error) {
	if info, err := os.Stat(s.against); err == nil && info.IsDir() {
		if len(spec.Handlers) > 1 {
			return nil, errors.WithHint(errors.Newf("--against %s is one folder, and there are %d of handlers", s.against, len(spec.Handlers)),
				"Give one --handlers, or a git ref as --against.")
		}
		absolute, err := filepath.Abs(s.against)
		return &otherVersion{name: s.against, handlers: []string{absolute}}, errors.Wrap(err, "--against")
	}
	if len(spec.Handlers) == 0 {
		return nil, errors.WithHint(errors.New("--against needs a folder of handlers"), "Give --handlers DIR.")
	}
	root, err := git(ctx, spec.Handlers[0], "rev-parse", "--show-toplevel")
	if err != nil {
		return nil, errors.WithHint(errors.Newf("--against %s: there is no such folder, and %s is in no git repository", s.against, spec.Handlers[0]),
			"Name a folder with the other version of the handlers.")
	}
	commit, err := git(ctx, root, "rev-parse", "--verify", "--quiet", "--end-of-options", s.against+"^{commit}")
	if err != nil {
		return nil, errors.WithHint(errors.Newf("--against %s: there is no such folder, and no such commit in %s", s.against, root),
			"Name a branch, a tag or a commit, or a folder. `git fetch` brings what is elsewhere.")
	}
	dir, err := os.MkdirTemp("", "tasker-rb-against-")
	if err != nil {
		return nil, errors.Wrap(err, "a folder for the other version")
	}
	o := &otherVersion{name: s.against + " (" + commit[:min(len(commit), 10)] + ")", from: root, to: filepath.Join(dir, "tree"), git: root}
	if s.against == commit {
		o.name = commit[:10]
	}
	place.other = o // so that it is removed
	if _, err := git(ctx, root, "worktree", "add", "--detach", "--quiet", o.to, commit); err != nil {
		return nil, errors.Wrapf(err, "checking out %s", s.against)
	}
	for _, folder := range spec.Handlers {
		if there := o.there(folder); there == folder {
			return nil, errors.WithHint(errors.Newf("%s is not in the repository %s", folder, root), "--against REF compares handlers of one repository.")
		} else if _, err := os.Stat(there); err != nil {
			return nil, errors.WithHint(errors.Newf("%s has no folder %s", s.against, strings.TrimPrefix(folder, root+"/")), "Name a ref that has the handlers.")
		}
	}
	return o, nil
}

// use makes a spec that of the other version.
func (o *otherVersion) use(spec *soak.Spec) {
	if o.from == "" {
		spec.Handlers = o.handlers
		return
	}
	each := func(list []string) []string {
		var there []string
		for _, path := range list {
			there = append(there, o.there(path))
		}
		return there
	}
	spec.Handlers, spec.Requires, spec.LoadPath = each(spec.Handlers), each(spec.Requires), each(spec.LoadPath)
	spec.Gemfile = o.there(spec.Gemfile)
}

// there is the path in the other version, if the path is one of the repository. A feature
// such as "json" is not.
func (o *otherVersion) there(path string) string {
	if path == "" {
		return path
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	if real, err := filepath.EvalSymlinks(absolute); err == nil {
		absolute = real
	}
	if absolute == o.from {
		return o.to
	}
	below, inside := strings.CutPrefix(absolute, o.from+"/")
	if !inside {
		return path
	}
	there := filepath.Join(o.to, below)
	if _, err := os.Stat(there); err != nil {
		if _, err := os.Stat(there + ".rb"); err != nil && !filepath.IsAbs(path) {
			return path
		}
	}
	return there
}

func (o *otherVersion) remove() error {
	if o.git == "" {
		return nil
	}
	_, err := git(context.Background(), o.git, "worktree", "remove", "--force", o.to)
	return errors.CombineErrors(errors.Wrap(err, "removing the worktree"), os.RemoveAll(filepath.Dir(o.to)))
}

// git runs git in a folder and returns what it prints.
func git(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", errors.Newf("git %s: %v: %s", args[0], err, strings.TrimSpace(said.String()))
	}
	return strings.TrimSpace(string(out)), nil
}
