package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/cockroachdb/errors"
	"github.com/spf13/cobra"

	"github.com/tasker-rb/tasker-rb/rubyhost"
	"github.com/tasker-rb/tasker-rb/templates"
)

// doctor checks the things that tasker-rb needs, one after the other.
type doctor struct {
	out      io.Writer
	json     bool
	handlers handlerFlags
	failed   bool
	checks   []checkJSON
}

// checkJSON is one check. Detail says what was found, Error what is wrong.
type checkJSON struct {
	Check  string `json:"check"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
	Error  string `json:"error"`
	Hint   string `json:"hint"`
}

func newDoctor() *cobra.Command {
	d := &doctor{}
	survey := &codeSurvey{flags: &d.handlers}
	var template string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check Ruby, PostgreSQL and the handlers, and say what to install",
		Long: `Check what tasker-rb needs on this machine: Ruby, PostgreSQL, the tables, and with
--template the handlers of one template.

With --handlers or --templates, and without --template, check the code instead: load
every file, read every line, and say by file and line what will not work and what to do.
The handlers may be written for tasker-engine, for Tasker Core, or for anything. No step
runs, and no database is needed: PostgreSQL is not checked, and is opened only if a file
sends SQL while it loads.

The exit code is 0 when all is well, and 1 when something will not work. A warning is
for code that works, but perhaps not as you meant it. It does not change the exit code.`,
		Example: `  tasker-rb doctor
  tasker-rb doctor --handlers app/handlers --templates config/tasker
  tasker-rb doctor --handlers app/handlers --require tasker/compat/tasker_core --output json
  tasker-rb doctor --template order.yaml --handlers app/handlers`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case template != "" && len(survey.templates) > 0:
				return errors.WithHint(errors.New("--template and --templates exclude each other"),
					"Give --templates to check the code, --template to check this machine with one template.")
			case template == "" && len(d.handlers.dirs)+len(survey.templates) > 0:
				return survey.run(cmd)
			}
			if err := oneOf("output", survey.output, "text", "json"); err != nil {
				return err
			}
			d.out, d.json = cmd.OutOrStdout(), survey.output == "json"
			d.ruby(cmd.Context(), template)
			d.postgres(cmd.Context())
			if err := d.end(); err != nil {
				return err
			}
			if d.failed {
				return &exitError{exitTaskFailed}
			}
			return nil
		},
	}
	d.handlers.add(cmd)
	cmd.Flags().StringVar(&template, "template", "", "check this machine, and that the handlers of the template in `FILE` exist")
	cmd.Flags().StringArrayVar(&survey.templates, "templates", nil, "check the code of the templates in `PATH` too, a file or a folder; may be repeated")
	cmd.Flags().StringVar(&survey.output, "output", "text", "print as `FORMAT`: text or json")
	return cmd
}

// lines is where log lines go: not into a document.
func (d *doctor) lines() io.Writer {
	if d.json {
		return os.Stderr
	}
	return d.out
}

// end prints the document of --output json.
func (d *doctor) end() error {
	if !d.json {
		return nil
	}
	return printJSON(d.out, map[string]any{"checks": d.checks})
}

func (d *doctor) say(what, detail string, err error) {
	if d.json {
		c := checkJSON{Check: what, OK: err == nil, Detail: detail}
		if err != nil {
			d.failed = true
			said := documentOf(err)
			c.Detail, c.Error, c.Hint = "", said.Error, said.Hint
		}
		d.checks = append(d.checks, c)
		return
	}
	if err == nil {
		fmt.Fprintf(d.out, "ok    %-11s %s\n", what, detail)
		return
	}
	d.failed = true
	cause, _, _ := strings.Cut(plain(err.Error()), "\n")
	fmt.Fprintf(d.out, "FAIL  %-11s %s\n", what, printable(cause))
	hint := errors.FlattenHints(err)
	var problems *templates.Problems
	if errors.As(err, &problems) {
		hint = documentOf(err).Hint
	}
	if hint != "" {
		fmt.Fprintf(d.out, "      %-11s %s\n", "", strings.ReplaceAll(printable(hint), "\n", "\n                  "))
	}
}

func (d *doctor) ruby(ctx context.Context, template string) {
	host, err := d.handlers.start(slog.New(newStepLog(d.lines())))
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
	t, err := loadTemplate(ctx, template, "")
	if err != nil {
		return err
	}
	return resolveHandlers(ctx, host, t)
}
