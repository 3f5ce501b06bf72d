package verdict

import (
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// fitted is a regression of levels on calls. What it says of classes that are tied to each
// other is one answer of many (that with the smallest norm).
type fitted struct {
	bytes      *mat.VecDense // a call, by class
	covariance *mat.SymDense
	beside     []float64 // the levels less what is explained
	rank       int       // classes that can be told apart
	null       *mat.Dense
	scales     []float64 // the lengths of the columns
	columns    *mat.Dense
	innovation float64
}

// tiedBelow is the share of the largest singular value below which classes are tied. Counts
// are exact, so only rounding is below it.
const tiedBelow = 1e-9

func fitCalls(p points, gap []float64, classes []Class, rho float64) fitted {
	n, k := len(p.x), len(classes)
	// The change from one sample to the next, as far as the noise does not carry over.
	whiten := func(v []float64) []float64 {
		w := make([]float64, n)
		w[0] = v[0] * math.Sqrt(1-rho*rho)
		for i := 1; i < n; i++ {
			r := decay(rho, gap[i-1])
			w[i] = (v[i] - r*v[i-1]) * math.Sqrt((1-rho*rho)/(1-r*r))
		}
		return w
	}
	ones := make([]float64, n)
	floats.AddConst(1, ones)
	level := whiten(ones)
	floats.Scale(1/floats.Norm(level, 2), level)
	// The level of the start is taken out of everything.
	project := func(v []float64) []float64 {
		w := whiten(v)
		floats.AddScaled(w, -floats.Dot(level, w), level)
		return w
	}
	raw := make([][]float64, k)
	f := fitted{columns: mat.NewDense(n, k, nil), scales: make([]float64, k)}
	for j, c := range classes {
		raw[j] = make([]float64, n)
		for i, calls := range c.Calls {
			raw[j][i] = float64(calls - c.Calls[0])
		}
		column := project(raw[j])
		f.scales[j] = floats.Norm(column, 2)
		floats.Scale(1/f.scales[j], column)
		f.columns.SetCol(j, column)
	}
	y := project(p.residuals(0))
	f.solve(y)

	f.beside = p.residuals(0)
	for j := range classes {
		floats.AddScaled(f.beside, -f.bytes.AtVec(j), raw[j])
	}
	floats.AddConst(-floats.Sum(f.beside)/float64(n), f.beside)
	free := float64(max(n-1-f.rank, 1))
	left := append([]float64(nil), y...)
	for j := range classes {
		floats.AddScaled(left, -f.bytes.AtVec(j)*f.scales[j], mat.Col(nil, j, f.columns))
	}
	f.innovation = math.Sqrt(floats.Dot(left, left)/free + p.quantum*p.quantum/12)
	f.covariance.ScaleSym(f.innovation*f.innovation, f.covariance)
	return f
}

// solve sets bytes, covariance (for noise of 1), rank and null by singular values.
func (f *fitted) solve(y []float64) {
	_, k := f.columns.Dims()
	var svd mat.SVD
	if !svd.Factorize(f.columns, mat.SVDThin) {
		panic("verdict: the singular values of finite numbers did not converge")
	}
	var u, v mat.Dense
	svd.UTo(&u)
	svd.VTo(&v)
	values := svd.Values(nil)
	f.bytes = mat.NewVecDense(k, nil)
	f.covariance = mat.NewSymDense(k, nil)
	for r, value := range values {
		if value < tiedBelow*values[0] {
			break
		}
		f.rank++
		direction := mat.NewVecDense(k, nil)
		for j := range k {
			direction.SetVec(j, v.At(j, r)/f.scales[j])
		}
		f.bytes.AddScaledVec(f.bytes, floats.Dot(mat.Col(nil, r, &u), y)/value, direction)
		f.covariance.SymRankOne(f.covariance, 1/(value*value), direction)
	}
	if f.rank < k {
		f.null = mat.DenseCopyOf(v.Slice(0, k, f.rank, k))
	}
}

// tied returns the classes in groups: alone, or with those they cannot be told from.
func (f *fitted) tied() [][]int {
	_, k := f.columns.Dims()
	group := make([]int, k)
	for j := range group {
		group[j] = j
	}
	if f.null != nil {
		// Two classes are tied where the projection on the null space joins them.
		var projection mat.Dense
		projection.Mul(f.null, f.null.T())
		for i := range k {
			for j := range i {
				if math.Abs(projection.At(i, j)) > 1e-6 {
					from, to := group[i], group[j]
					for m := range group {
						if group[m] == from {
							group[m] = to
						}
					}
				}
			}
		}
	}
	var all [][]int
	for j := range k {
		var members []int
		for m := range group {
			if group[m] == j {
				members = append(members, m)
			}
		}
		if members != nil {
			all = append(all, members)
		}
	}
	return all
}

// alone is the variance that a part would have if no other class ran.
func (f *fitted) alone(part *mat.VecDense) float64 {
	// The calls of a proportional group are the first member's, times the members' sum.
	n, k := f.columns.Dims()
	sum := make([]float64, n)
	for j := range k {
		if part.AtVec(j) != 0 {
			floats.AddScaled(sum, f.scales[j], mat.Col(nil, j, f.columns))
		}
	}
	return f.innovation * f.innovation / floats.Dot(sum, sum)
}
