package maillog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"portreeve/internal/store"
)

// Positions remembers where each source was read to.
type Positions interface {
	// Position is what was last set for the source, or nil.
	Position(ctx context.Context, source string) ([]byte, error)
	SetPosition(ctx context.Context, source string, position []byte) error
}

// StoredPositions keeps them in the store.
type StoredPositions struct{ DB *store.DB }

// Position implements Positions.
func (s StoredPositions) Position(ctx context.Context, source string) ([]byte, error) {
	var position []byte
	err := s.DB.Reader().QueryRowContext(ctx, "select position from maillog_positions where source = ?", source).Scan(&position)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading where %s was left: %w", source, err)
	}
	return position, nil
}

const setPosition = `insert into maillog_positions(source, position) values(?, ?)
	on conflict(source) do update set position = excluded.position`

// SetPosition implements Positions.
func (s StoredPositions) SetPosition(ctx context.Context, source string, position []byte) error {
	err := s.DB.Write(ctx, func(tx store.Tx) error {
		_, err := tx.Exec(setPosition, source, position)
		return err
	})
	if err != nil {
		return fmt.Errorf("remembering where %s was left: %w", source, err)
	}
	return nil
}
