// Package monitoring holds what contrib/prometheus and contrib/grafana ask for against
// what a daemon exports. selector.go reads queries; the tests with the build tag real
// run the program, Prometheus and promtool (run.sh has them).
package monitoring
