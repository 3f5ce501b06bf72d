package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/rubyhost"
)

// doctor checks the things that tasker-rb needs, one after the other.
type doctor struct {
	out      io.Writer
	handlers handlerFlags
	failed   bool
}

func newDoctor() *cobra.Command {
	d := &doctor{}
	var template string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check Ruby, PostgreSQL and the handlers, and say what to install",
		Example: `  tasker-rb doctor
  tasker-rb doctor --template order.yaml --handlers app/handlers`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			d.out = cmd.OutOrStdout()
			d.ruby(cmd.Context(), template)
			d.postgres(cmd.Context())
			if d.failed {
				return &exitError{exitTaskFailed}
			}
			return nil
		},
	}
	d.handlers.add(cmd)
	cmd.Flags().StringVar(&template, "template", "", "`FILE` of a template whose handler classes must exist")
	return cmd
}

func (d *doctor) say(what, detail string, err error) {
	if err == nil {
		fmt.Fprintf(d.out, "ok    %-11s %s\n", what, detail)
		return
	}
	d.failed = true
	cause, _, _ := strings.Cut(plain(err.Error()), "\n")
	fmt.Fprintf(d.out, "FAIL  %-11s %s\n", what, cause)
	if hint := errors.FlattenHints(err); hint != "" {
		fmt.Fprintf(d.out, "      %-11s %s\n", "", strings.ReplaceAll(hint, "\n", "\n                  "))
	}
}

func (d *doctor) ruby(ctx context.Context, template string) {
	host, err := d.handlers.start(slog.New(newStepLog(d.out)))
	if err != nil {
		d.say("Ruby", "", err)
		return
	}
	defer func() {
		if err := host.Close(); err != nil {
			d.say("Ruby", "", err)
		}
	}()
	stats, err := host.GCStats(ctx)
	d.say("Ruby", "CRuby "+stats.RubyVersion+", booted in this process", err)
	gems, err := host.Eval(ctx, `"rubygems #{Gem::VERSION}, json #{JSON::VERSION}, faraday #{begin; require "faraday"; Faraday::VERSION; rescue LoadError; "not installed (only Tasker::StepHandler::Api needs it)"; end}"`, "doctor")
	d.say("gems", strings.Trim(string(gems), `"`), err)
	if template == "" && len(d.handlers.dirs)+len(d.handlers.requires) == 0 {
		return
	}
	err = d.loadHandlers(ctx, host, template)
	d.say("handlers", "all there", err)
}

func (d *doctor) loadHandlers(ctx context.Context, host *rubyhost.Host, template string) error {
	dirs, err := d.handlers.folders(template)
	if err != nil {
		return err
	}
	if err := d.handlers.load(ctx, host, dirs); err != nil {
		return err
	}
	if template == "" {
		return nil
	}
	t, err := loadTemplate(template, "")
	if err != nil {
		return err
	}
	return resolveHandlers(ctx, host, t)
}
