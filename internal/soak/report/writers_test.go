package report_test

import (
	"io"

	"github.com/tasker-rb/tasker-rb/internal/soak"
	"github.com/tasker-rb/tasker-rb/internal/soak/report"
)

var writers = map[string]func(io.Writer, *soak.Result) error{".html": report.Write, ".svg": report.WriteSVG, ".png": report.WritePNG}
