package daemon

import (
	"context"
	"fmt"

	"portreeve/internal/admin"
	"portreeve/rules"
)

// Usage implements admin.Backend.
func (b backend) Usage(ctx context.Context, r admin.UsageRequest) (admin.UsageAnswer, error) {
	account, err := b.account(ctx, r.Login)
	if err != nil {
		return admin.UsageAnswer{}, err
	}
	return admin.UsageAnswer{
		Login: account.Login, Limits: b.gate.State().Policy.LimitsOf(account), Usage: b.ledger.Usage(account.Login, b.Now()),
	}, nil
}

// Reset implements admin.Backend. What is under way stays reserved.
func (b backend) Reset(ctx context.Context, r admin.UsageRequest) (admin.UsageAnswer, error) {
	account, err := b.account(ctx, r.Login)
	if err != nil {
		return admin.UsageAnswer{}, err
	}
	if err := b.ledger.Reset(ctx, account.Login); err != nil {
		return admin.UsageAnswer{}, err
	}
	b.Log.Info("sending limits reset", "login", account.Login)
	return b.Usage(ctx, r)
}

// account finds the account that a verb names.
func (b backend) account(ctx context.Context, login string) (*rules.Account, error) {
	s := b.gate.State()
	canonical, whole := s.Policy.Logins.Canonical(login)
	if !whole {
		return nil, fmt.Errorf("%q is no whole login: give it as name@domain%w", login, admin.ErrRequest)
	}
	account, found, err := s.Directory.Account(ctx, canonical)
	switch {
	case err != nil:
		return nil, fmt.Errorf("looking %q up: %w: try again when the directory answers", login, err)
	case !found:
		return nil, fmt.Errorf("%q is not in the directory: check its spelling%w", login, admin.ErrRequest)
	}
	return account, nil
}
