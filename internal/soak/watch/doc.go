// Package watch says from the samples of a process at work whether its memory grows, and
// with which handler class.
//
//	w := watch.New(watch.Options{})
//	w.Called("Shop::Charge")            // at the end of each call
//	w.Read(watch.Reading{At: now, ...}) // each second
//	w.Report()                          // when somebody asks
//
// A worker in production has no quiet points, and nobody forces a collection on it. So each
// [Reading] is some memory in use and some garbage. The smallest one of a window is close to
// what was in use after a collection: that is a sample. A window is a minute, and longer if
// Ruby has not collected by then. A window in which no step ended is no sample, because
// growth is counted by steps. If there are too many samples,
// each two become one and windows become twice as long. So the work and the memory stay
// bounded, and the samples go back to the start.
//
// Package verdict decides from the samples. What it needs, how sure it is, and what it
// cannot do is in its documentation. Here the noise is larger than in a run of `tasker-rb
// soak`, and classes may run in fixed proportions. Then they cannot be told apart.
package watch
