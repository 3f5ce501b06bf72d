package main

import (
	"context"
	"log/slog"
	"strings"
)

// The words of package orchestration about a process that was killed.
const (
	engineIsDead = "an engine is dead; its steps are taken over"
	tookStepOver = "took a step over"
)

// foregroundLog is the log of an engine that runs one task for a person. Of processes that
// were killed, it only tells what concerns that task. What the engine tries again is no error
// yet.
type foregroundLog struct{ slog.Handler }

func (l foregroundLog) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == engineIsDead {
		return nil
	}
	if strings.Contains(r.Message, triesAgain) {
		r.Level = min(r.Level, slog.LevelWarn)
	}
	more, is := strings.CutPrefix(r.Message, tookStepOver)
	if !is {
		return l.Handler.Handle(ctx, r)
	}
	var task, step string
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "task":
			task = a.Value.String()
		case "step":
			step = a.Value.String()
		}
		return true
	})
	if more != "" {
		more = "; it is a step" + more
	}
	said := "task " + task + ": the process that ran step " + step + " is gone; this one takes the step over" + more
	return l.Handler.Handle(ctx, slog.NewRecord(r.Time, r.Level, said, r.PC))
}

func (l foregroundLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return foregroundLog{l.Handler.WithAttrs(attrs)}
}

func (l foregroundLog) WithGroup(name string) slog.Handler {
	return foregroundLog{l.Handler.WithGroup(name)}
}
