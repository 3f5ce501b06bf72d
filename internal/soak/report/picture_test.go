package report_test

import (
	"bytes"
	"errors"
	"image"
	"image/png"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/soak/report"
)

func TestPicturesAreWhole(t *testing.T) {
	t.Parallel()
	for name, r := range odd() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var svg bytes.Buffer
			require.NoError(t, report.WriteSVG(&svg, r))
			require.NotRegexp(t, `NaN|[+-]Inf|font-family:Liberation`, svg.String())
			require.NotContains(t, svg.String(), "@font-face")
			drawn := elements(t, svg.String())
			require.Equal(t, "svg", drawn[0].name)
			word := r.Verdict.Growth
			if word == "" {
				word = "no verdict"
			}
			require.Contains(t, drawn[0].text, word)

			var picture bytes.Buffer
			require.NoError(t, report.WritePNG(&picture, r))
			decoded, err := png.Decode(&picture)
			require.NoError(t, err)
			require.Equal(t, 1920, decoded.Bounds().Dx())
			require.Equal(t, uint32(0xffff), red(decoded, 2, 2), "the ground is white")
		})
	}
}

func red(i image.Image, x, y int) uint32 {
	r, _, _, _ := i.At(x, y).RGBA()
	return r
}

func TestPictureHasThePlotsThatDecide(t *testing.T) {
	t.Parallel()
	var svg bytes.Buffer
	require.NoError(t, report.WriteSVG(&svg, compared()))
	said := elements(t, svg.String())[0].text
	for _, part := range []string{"native memory grows by 66 bytes a step", "native memory in use", "Ruby heap in use", "Go heap in use", "66 bytes a step", "budget: 1 byte a step", "main (1f2e3d4)", "warm-up"} {
		require.Contains(t, said, part)
	}
	require.NotContains(t, said, "resident memory")
}

// broken is a place to write to that fails.
type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errBroken }

var errBroken = errors.New("no space left")

func TestWritersTellOfAnError(t *testing.T) {
	t.Parallel()
	text := func(w io.Writer) error { return report.Text(w, leaking(), report.TextOptions{}) }
	require.ErrorIs(t, text(broken{}), errBroken)
	require.ErrorIs(t, report.Write(broken{}, leaking()), errBroken)
	require.ErrorIs(t, report.WriteSVG(broken{}, leaking()), errBroken)
	require.ErrorIs(t, report.WritePNG(broken{}, leaking()), errBroken)
}
