package main

import (
	"context"
	"errors"
)

const insideFlag = "-inside"

func inside([]string) int { return 2 }

func milterCost(ctx context.Context, b *bench) (r result, err error) { return r, errors.New("not yet") }
func peers(ctx context.Context, b *bench) (r result, err error)      { return r, errors.New("not yet") }
