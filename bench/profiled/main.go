// Command profiled is `portreeve serve` with a switch for its CPU profile, for
// the harness in bench/: the product has no such switch, since whoever may reach
// it could slow the daemon down. SIGUSR1 begins a profile, SIGUSR2 ends it.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"

	"portreeve/internal/daemon"
)

func main() {
	configuration := flag.String("config", "", "configuration `file`")
	profile := flag.String("profile", "", "profiles go to `PREFIX`-N.pprof, where N counts from 1, and that of the start to PREFIX.start.pprof")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switches := make(chan os.Signal, 1)
	signal.Notify(switches, syscall.SIGUSR1, syscall.SIGUSR2)
	go func() { log.Fatal(record(switches, *profile)) }()
	began, err := begin(*profile + ".start.pprof")
	if err != nil {
		log.Fatal(err)
	}
	err = daemon.Run(ctx, daemon.Options{ConfigPath: *configuration, Version: "profiled"}, func() {
		if err := end(began); err != nil {
			log.Fatal(err)
		}
	})
	if err != nil {
		log.Fatal(err)
	}
}

func begin(name string) (*os.File, error) {
	file, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	return file, pprof.StartCPUProfile(file)
}

func end(file *os.File) error {
	pprof.StopCPUProfile()
	return file.Close()
}

// record obeys the switches until it cannot.
func record(switches <-chan os.Signal, prefix string) error {
	var file *os.File
	for n := 1; ; {
		switch <-switches {
		case syscall.SIGUSR1:
			var err error
			if file, err = begin(fmt.Sprintf("%s-%d.pprof", prefix, n)); err != nil {
				return err
			}
			n++
		case syscall.SIGUSR2:
			if err := end(file); err != nil {
				return err
			}
		}
	}
}
