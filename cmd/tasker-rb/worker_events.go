package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/tasker-rb/tasker-rb/orchestration"
)

// eventLog logs the events of a worker's tasks.
type eventLog struct {
	log   *problemLog
	quiet bool // nothing about steps and tasks that succeed
}

// The messages of events. An event that is not here is not logged.
var eventMessages = map[orchestration.EventKind]string{
	orchestration.EventStepCompleted: "step complete",
	orchestration.EventStepRetrying:  "attempt failed",
	orchestration.EventStepFailed:    "step failed",
	orchestration.EventStepReleased:  "step interrupted; the attempt does not count",
	orchestration.EventStepCancelled: "step cancelled",
	orchestration.EventTaskEnded:     "task ",
}

func (l *eventLog) print(e orchestration.Event) {
	message, logged := eventMessages[e.Kind]
	if !logged || l.quiet && (e.Kind == orchestration.EventStepCompleted || e.TaskState == orchestration.TaskComplete) {
		return
	}
	level, attrs := slog.LevelInfo, []slog.Attr{slog.Int64("task", e.TaskID)}
	if e.Kind == orchestration.EventStepReleased {
		e.Attempt++ // it was this one, and is not counted any more
	}
	if e.Step != "" {
		attrs = append(attrs, slog.String("step", e.Step), slog.Int("attempt", e.Attempt), slog.String("class", e.Class))
	}
	if e.Earlier > 0 { // tasks show counts them
		attrs = append(attrs, slog.Int("attempts_in_all", e.Earlier+e.Attempt))
	}
	switch e.Kind {
	case orchestration.EventStepCompleted:
		attrs = append(attrs, slog.String("duration", shortDuration(e.Duration)))
	case orchestration.EventStepRetrying, orchestration.EventStepFailed:
		level = slog.LevelWarn
		attrs = append(attrs, slog.String("error", oneLine(e.Err)), slog.String("error_class", e.Err.Class), slog.Int("attempts_allowed", max(e.RetryLimit, 1)+e.Losses))
		if e.Losses > 0 { // attempt counts them, and the limit does not
			attrs = append(attrs, slog.Int("attempts_lost", e.Losses))
		}
		if e.Kind == orchestration.EventStepFailed {
			level = slog.LevelError
		} else {
			attrs = append(attrs, slog.Time("next_attempt", e.NextAttempt.UTC().Truncate(time.Millisecond)))
		}
	case orchestration.EventTaskEnded:
		message += string(e.TaskState)
		attrs = append(attrs, slog.String("namespace", e.Namespace), slog.String("name", e.TaskName))
		if e.TaskState == orchestration.TaskInError {
			level = slog.LevelError
		}
	case orchestration.EventStepReleased:
		if level = slog.LevelWarn; e.Duration == 0 {
			level, message = slog.LevelInfo, "step given back before it began; the attempt does not count"
		}
	case orchestration.EventStepCancelled:
		level = slog.LevelWarn
	}
	r := slog.NewRecord(e.At.Local(), level, message, 0)
	r.AddAttrs(attrs...)
	switch {
	case e.Err != nil:
		kind := fmt.Sprintf("%s %s %s", e.Kind, e.Step, e.Err.Class)
		_ = l.log.often(context.Background(), r, kind+" "+e.Err.Message, kind, mostAlike)
	case e.Kind == orchestration.EventTaskEnded && e.TaskState == orchestration.TaskInError:
		kind := message + " " + e.Namespace + " " + e.TaskName
		_ = l.log.often(context.Background(), r, kind, kind, mostAlike)
	default:
		_ = l.log.Handler.Handle(context.Background(), r)
	}
}
