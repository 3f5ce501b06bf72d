package orchestration_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/pgproxy"
	"github.com/tasker-rb/tasker-rb/orchestration"
)

// A task costs the same statements while finished ones are pruned beside it.
func TestCostsDoNotChangeBesideAPrune(t *testing.T) {
	t.Parallel()
	s := startCostsServer(t)
	tpl := costsTemplateOf(t, diamondGraph, "plain", 0)
	const tasks = 20
	load := func(database string, beside func()) pgproxy.Traffic {
		l := s.begin(database, nil, nil)
		defer l.end()
		before := l.proxy.Traffic(pgproxy.Named(poolName))
		for range tasks {
			beside()
			l.run(l.submit(tpl))
		}
		first := l.submit(tpl)
		stop := l.worker(never)
		l.awaitEnd(first)
		for range tasks {
			beside()
			l.awaitEnd(l.submitAndWake(tpl))
		}
		stop()
		return l.proxy.Traffic(pgproxy.Named(poolName)).Minus(before)
	}
	alone := load(s.createDatabase(), func() {})

	database := s.createDatabase()
	l := s.begin(database, nil, nil)
	finished := l.submit(tpl)
	l.run(finished)
	l.end()
	conn := s.connect(database)
	s.multiply(conn, finished, 20_000, 1_000_000_000)
	s.exec(conn, "update tasker.tasks set created_at = created_at - interval '1 day', ended_at = ended_at - interval '1 day'")
	s.disconnect(conn, database)
	pruner := s.begin(database, nil, nil)
	ctx, cancel := context.WithCancel(t.Context())
	// Each second task begins beside a batch, so there are enough of them.
	begin := make(chan struct{}, 2*tasks)
	pruned := make(chan error, 1)
	go func() {
		_, err := pruner.Prune(ctx, orchestration.PruneOptions{OlderThan: time.Hour, OnBatch: func(int) {
			select {
			case <-begin:
			case <-ctx.Done():
			}
		}})
		pruned <- err
	}()
	second := false
	beside := load(database, func() {
		if second = !second; second {
			begin <- struct{}{}
		}
	})
	require.Empty(t, pruned, "the prune has ended before")
	cancel()
	<-pruned
	pruner.end()
	require.Equal(t, alone, beside)
}
