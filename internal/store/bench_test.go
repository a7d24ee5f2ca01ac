package store

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// BenchmarkWrite is the writer under callers that each wait for their commit. What
// a commit costs is shared by the rows that come together.
func BenchmarkWrite(b *testing.B) {
	for _, callers := range []int{2, 16, 100} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			db, err := Open(filepath.Join(b.TempDir(), "portreeve.db"), testSchema, noon)
			if err != nil {
				b.Fatal(err)
			}
			var (
				keys   atomic.Int64
				groups int // both are the writer's alone
				latest chan error
			)
			value := strings.Repeat("x", 800)
			b.ReportAllocs()
			b.SetParallelism(callers / 2) // on two cores
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					key := fmt.Sprintf("%012d", keys.Add(1))
					err := db.Write(b.Context(), func(tx Tx) error {
						if first := tx.(*writer).group[0].done; first != latest {
							latest, groups = first, groups+1
						}
						return note(key, value)(tx)
					})
					if err != nil {
						b.Error(err)
					}
				}
			})
			b.StopTimer()
			if err := db.Close(); err != nil {
				b.Error(err)
			}
			b.ReportMetric(float64(b.N)/float64(groups), "rows/commit")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
