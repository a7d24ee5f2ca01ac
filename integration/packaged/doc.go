// Package packaged tests what users install: the .deb, on a clean Debian host with
// systemd, beside Debian's own Postfix and Dovecot. run.sh gives it a container of
// each release; the tests follow one another on that host, as an administrator's
// days do.
package packaged
