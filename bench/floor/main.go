// Command floor is the least that a server in Go can do: it answers every policy
// request with DUNNO, and every HTTP request with "continue", decides nothing and
// remembers nothing. Whatever Portreeve adds is measured against it.
package main

import (
	"bytes"
	"flag"
	"io"
	"log"
	"net"
	"net/http"
)

func main() {
	policy := flag.String("policy", "", "`path` of the policy socket")
	auth := flag.String("auth", "", "`address` of the HTTP listener; empty: none")
	flag.Parse()
	ln, err := net.Listen("unix", *policy)
	if err != nil {
		log.Fatal(err)
	}
	if *auth != "" {
		go func() { log.Fatal(http.ListenAndServe(*auth, http.HandlerFunc(proceed))) }()
	}
	for {
		c, err := ln.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go dunno(c)
	}
}

var (
	answer = []byte("action=DUNNO\n\n")
	end    = []byte("\n\n")
)

// dunno answers until the peer is done.
func dunno(c net.Conn) {
	defer c.Close() //nolint:errcheck // there is nobody to tell
	buf := make([]byte, 16<<10)
	n := 0
	for {
		more, err := c.Read(buf[n:])
		if err != nil {
			return
		}
		n += more
		for {
			at := bytes.Index(buf[:n], end)
			if at < 0 {
				break
			}
			n = copy(buf, buf[at+len(end):n])
			if _, err := c.Write(answer); err != nil {
				return
			}
		}
		if n == len(buf) {
			return
		}
	}
}

func proceed(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, "{\"status\":0,\"msg\":\"\"}\n") // a client that has gone
}
