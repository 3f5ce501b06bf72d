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
	load := func(database string) pgproxy.Traffic {
		l := s.begin(database, nil, nil)
		defer l.end()
		before := l.proxy.Traffic(pgproxy.Named(poolName))
		for range 20 {
			l.run(l.submit(tpl))
		}
		first := l.submit(tpl)
		stop := l.worker(never)
		l.awaitEnd(first)
		for range 20 {
			l.awaitEnd(l.submitAndWake(tpl))
		}
		stop()
		return l.proxy.Traffic(pgproxy.Named(poolName)).Minus(before)
	}
	alone := load(s.createDatabase())

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
	batches := make(chan int, 1000)
	pruned := make(chan error, 1)
	go func() {
		_, err := pruner.Prune(ctx, orchestration.PruneOptions{OlderThan: time.Hour, OnBatch: func(n int) {
			select {
			case batches <- n:
			default:
			}
		}})
		pruned <- err
	}()
	require.Positive(t, <-batches)
	beside := load(database)
	if len(batches) == 0 {
		select {
		case <-batches:
		case err := <-pruned:
			require.Fail(t, "the prune has ended before", err)
		}
	}
	cancel()
	<-pruned
	pruner.end()
	require.Equal(t, alone, beside)
}
