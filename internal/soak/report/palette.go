package report

import (
	"fmt"
	"image/color"
	"strings"
)

// The colours of the plots, for a light ground. A page replaces each by a variable of its
// style, so that the same drawing serves light and dark. Blue and vermilion can be told
// apart by most people who see few colours.
var (
	ground    = color.RGBA{255, 255, 255, 255}
	ink       = color.RGBA{28, 32, 38, 255}
	muted     = color.RGBA{97, 106, 118, 255}
	rule      = color.RGBA{222, 226, 231, 255}
	warm      = color.RGBA{240, 241, 243, 255}
	dot       = color.RGBA{74, 144, 203, 255}
	line      = color.RGBA{0, 79, 138, 255}
	band      = color.RGBA{207, 227, 243, 255}
	otherDot  = color.RGBA{232, 150, 92, 255}
	otherLine = color.RGBA{178, 71, 0, 255}
	otherBand = color.RGBA{250, 224, 205, 255}
	budget    = color.RGBA{112, 92, 20, 255}
	red       = color.RGBA{186, 26, 40, 255}
	green     = color.RGBA{24, 116, 60, 255}
	amber     = color.RGBA{150, 93, 0, 255}
)

var variables = map[string]color.RGBA{
	"ink": ink, "muted": muted, "rule": rule, "warm": warm, "dot": dot, "line": line, "band": band,
	"other-dot": otherDot, "other-line": otherLine, "other-band": otherBand, "budget": budget,
}

// themed replaces the colours of a drawing by variables.
var themed = func() *strings.Replacer {
	var pairs []string
	for name, c := range variables {
		pairs = append(pairs, hex(c), "var(--"+name+")")
	}
	return strings.NewReplacer(pairs...)
}()

// hex writes a colour as vgsvg does, whose arithmetic may be off by one.
func hex(c color.Color) string {
	r, g, b, alpha := c.RGBA()
	a := 255.0 / float64(alpha)
	return fmt.Sprintf("#%02X%02X%02X", int(float64(r)*a), int(float64(g)*a), int(float64(b)*a))
}

// colourOf is the colour of a verdict.
func colourOf(growth string) color.RGBA {
	switch growth {
	case leak:
		return red
	case flat:
		return green
	}
	return amber
}
