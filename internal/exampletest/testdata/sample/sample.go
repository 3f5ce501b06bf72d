// Package sample has examples with every fault.
package sample

type Thing struct{}

func New() *Thing { return nil }

func (*Thing) Do()            {}
func (*Thing) Shown()         {}
func (*Thing) String() string { return "" }
func (*Thing) hidden()        {}

func Forgotten() {}
func Silent()    {}
func Fine()      {}
