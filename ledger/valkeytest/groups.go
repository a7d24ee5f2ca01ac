package valkeytest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Sentinels are a master, its replica, and three Sentinels that watch them.
type Sentinels struct {
	Master, Replica *Server
	Sentinels       []*Server
	Name            string // of the master
}

// Addrs are the Sentinels' addresses.
func (g *Sentinels) Addrs() []string { return addrs(g.Sentinels) }

// StartSentinels starts them. A master that does not answer for half a second is taken
// for dead.
func StartSentinels(t testing.TB) *Sentinels {
	t.Helper()
	g := &Sentinels{Master: Start(t).Ready(), Name: "mymaster"}
	host, port, _ := net.SplitHostPort(g.Master.Addr)
	g.Replica = Start(t, "--replicaof", host+" "+port).Ready()
	g.Replica.Until("the replica has its master's data", func() bool { return g.Replica.Info("master_link_status") == "up" })
	for range 3 {
		p := FreePort(t)
		conf := filepath.Join(t.TempDir(), "sentinel.conf")
		text := fmt.Sprintf(`port %d
bind 127.0.0.1
sentinel monitor %[2]s %s %s 2
sentinel down-after-milliseconds %[2]s 500
sentinel failover-timeout %[2]s 3000
`, p, g.Name, host, port)
		if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		s := &Server{t: t, program: Program(t), dir: t.TempDir(), Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(p))}
		s.args = []string{conf, "--sentinel", "--logfile", s.Log()}
		s.Launch()
		t.Cleanup(s.Kill)
		g.Sentinels = append(g.Sentinels, s.Ready())
	}
	for _, s := range g.Sentinels {
		s.Until("the Sentinels know each other and the replica", func() bool {
			m, err := s.Try("SENTINEL", "MASTER", g.Name)
			if err != nil {
				return false
			}
			fields, err := m.AsStrMap()
			return err == nil && fields["num-other-sentinels"] == "2" && fields["num-slaves"] == "1"
		})
	}
	return g
}

// Cluster is several masters that share the slots.
type Cluster []*Server

// Addrs are the masters' addresses.
func (c Cluster) Addrs() []string { return addrs(c) }

func addrs(list []*Server) (a []string) {
	for _, s := range list {
		a = append(a, s.Addr)
	}
	return a
}

// slots is how many slots every Cluster has.
const slots = 16384

// StartCluster starts a Cluster of n masters.
func StartCluster(t testing.TB, n int) Cluster {
	t.Helper()
	var c Cluster
	for range n {
		c = append(c, Start(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-config-file", "nodes.conf").Ready())
	}
	for i, s := range c {
		s.Do("CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(i*slots/n), strconv.Itoa((i+1)*slots/n-1))
		s.Do("CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1))
	}
	for _, s := range c[1:] {
		host, port, _ := net.SplitHostPort(s.Addr)
		c[0].Do("CLUSTER", "MEET", host, port)
	}
	for _, s := range c {
		s.Until("the Cluster is whole", func() bool {
			info := s.Text("CLUSTER", "INFO")
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d", n))
		})
	}
	return c
}
