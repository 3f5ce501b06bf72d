package main

import (
	"context"

	"github.com/cockroachdb/errors"
)

func (b *bench) fill(ctx context.Context, c contender, database string, t tables) error {
	return errors.New("TODO")
}
