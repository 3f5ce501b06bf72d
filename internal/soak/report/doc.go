// Package report shows what a soak run has found: as a page, as a picture and as text.
//
//	err := report.Write(file, result) // a page of HTML that needs nothing else
//	err = report.WriteSVG(file, result) // the picture alone; WritePNG likewise
//	err = report.Text(os.Stdout, result, report.TextOptions{Width: 80})
//
// All three begin with the verdict and what to do about it. What a run did not find may be
// missing from a [soak.Result]: each part is shown only if it is there.
//
// Texts in a result come from handlers: names of classes, lines of code, examples of
// objects. The page escapes them, and the text has no control characters.
//
// # The plots
//
// The line of a trend goes through the middle of the samples that count, with the slope
// that package verdict found. Its band has the ends of the slope's interval, and turns
// about the same point. The dashed line grows by the budget, from the same start. More than
// 400 samples are thinned: each column of the plot keeps its lowest and its highest.
//
// A KB is 1000 bytes.
package report
