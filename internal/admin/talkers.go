package admin

import "time"

// Talkers is where the logins of the last hours came from, for `check`.
type Talkers struct {
	Since   time.Time `json:"since"`
	Reports int64     `json:"reports"` // logins that were told, failed ones included
	Top     []Talker  `json:"top"`     // most first, at most ten
}

// Talker is one client address. Reports is a lower bound when there were more
// addresses than are counted at a time.
type Talker struct {
	Client   string `json:"client"`
	Reports  int64  `json:"reports"`
	Failures int64  `json:"failures"`
	Logins   int    `json:"logins"` // different ones, counted up to 16
}
