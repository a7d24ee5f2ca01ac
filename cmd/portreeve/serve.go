package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	portreeve "portreeve/internal/daemon"
)

func serveCmd(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Run the daemon",
		Long: `Run the daemon in the foreground until SIGTERM, then finish what has begun and
stop, within 30 seconds. SIGHUP reads configuration and directory again.

It logs to standard error, tells systemd when it is ready, and says at its start
which rules have no witness: without listen.auth, listen.sasl or a mail log,
nobody tells it of failed logins. It needs no root: a user of its own, who may
write to the directories of its sockets and its store, is enough.`,
		Example: `  # as the service does it
  portreeve serve --config /etc/portreeve/portreeve.toml

  # without systemd, as the user portreeve
  setpriv --reuid portreeve --regid portreeve --init-groups portreeve serve`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if g.json {
				return errors.New("serve prints no data: set log.format = \"json\" for a log in JSON")
			}
			hup := make(chan os.Signal, 1)
			signal.Notify(hup, syscall.SIGHUP)
			defer signal.Stop(hup)
			o := portreeve.Options{
				ConfigPath: g.config, Version: version, Reload: hup, Reloading: tellReload, Sockets: activation.Files(true),
				// A drain gives no signs of life. Told of it, systemd waits for TimeoutStopSec= instead,
				// also when it was not systemd that asked for it.
				Stopping: func() { tellSystemd(cmd, daemon.SdNotifyStopping) },
			}
			limit, err := daemon.SdWatchdogEnabled(false)
			if err != nil {
				return fmt.Errorf("reading systemd's WATCHDOG_USEC: %w: give WatchdogSec= of the unit a time", err)
			}
			if limit > 0 {
				o.AliveEvery = limit / signsPerLimit
				o.Alive = func() { tellSystemd(cmd, daemon.SdNotifyWatchdog) }
			}
			return portreeve.Run(cmd.Context(), o, func() { tellSystemd(cmd, daemon.SdNotifyReady) })
		},
	}
}

// signsPerLimit: a busy machine may miss one, and a second.
const signsPerLimit = 3

// tellSystemd notifies the service manager, if one started us.
func tellSystemd(cmd *cobra.Command, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		fmt.Fprintln(cmd.ErrOrStderr(), "portreeve: telling systemd:", err)
	}
}

// tellReload brackets a reload. systemd takes its begin only with the time of it
// (sd_notify(3), MONOTONIC_USEC; Type=notify-reload).
func tellReload(done bool) {
	state := daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec()
	if done {
		state = daemon.SdNotifyReady
	}
	// Outside systemd there is nobody to tell, and that is no error.
	_, _ = daemon.SdNotify(false, state)
}

func versionCmd(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print version, commit and Go",
		Long: `Print the version of this program, the commit that it was built from, and the
version of Go. The running daemon may be an older one: "portreeve status" tells.`,
		Example: "  portreeve version\n  portreeve version --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if g.json {
				return printJSON(cmd.OutOrStdout(), map[string]string{"version": version, "commit": commit, "go": runtime.Version()})
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "portreeve %s, commit %s, %s\n", version, commit, runtime.Version())
			return err
		},
	}
}
