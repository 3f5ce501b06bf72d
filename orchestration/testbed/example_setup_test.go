package testbed_test

import (
	"context"
	"io"
	"log/slog"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/orchestration/testbed"
	"github.com/tasker-rb/tasker-rb/templates"
)

// shop is the template of the examples.
func shop() *templates.Template {
	template, err := templates.Parse([]byte(shopYAML), "shop.yaml")
	if err != nil {
		panic(err)
	}
	return template
}

// newBed opens a bed on a database of its own.
func newBed(change ...func(*testbed.Config)) (bed *testbed.Bed, end func()) {
	config := testbed.Config{
		URL:    databaseURL(),
		Engine: orchestration.Config{Handlers: handlers()},
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	for _, f := range change {
		f(&config)
	}
	bed, err := testbed.Open(context.Background(), config)
	if err != nil {
		panic(err)
	}
	return bed, func() {
		if err := bed.Close(); err != nil {
			panic(err)
		}
	}
}

// begun is newBed in a test that has begun.
func begun(change ...func(*testbed.Config)) (bed *testbed.Bed, end func()) {
	bed, end = newBed(change...)
	if err := bed.Begin(context.Background(), noon); err != nil {
		panic(err)
	}
	return bed, end
}
