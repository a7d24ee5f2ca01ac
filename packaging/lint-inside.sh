#!/bin/bash
# lint.sh runs this where lintian and rpmlint are.
set -euo pipefail

# life_of installs an .rpm, upgrades it, removes it and installs it again: its scripts
# run, and what is the administrator's stays. Nothing is started here, and what it
# depends on has Debian's names. It is for a host that is thrown away.
life_of() {
	local etc=/etc/portreeve secret
	rpm --noplugins --install --nodeps "$1" # plugins want to make namespaces
	secret=$(cat $etc/token)
	[[ $secret =~ ^[0-9a-f]{48}$ ]] || { echo "$1: the token has ${#secret} characters" && return 1; }
	echo '# mine' >>$etc/accounts.toml
	for step in "--upgrade --replacepkgs --nodeps $1" "--erase portreeve" "--install --nodeps $1"; do
		# shellcheck disable=SC2086 # its words
		rpm --noplugins $step
		[ "$(cat $etc/token)" = "$secret" ] || { echo "$1: rpm $step has changed the token" && return 1; }
		grep --quiet '^# mine$' $etc/accounts.toml* || { echo "$1: rpm $step has lost the accounts" && return 1; }
		for file in "750 root:portreeve $etc" "640 root:portreeve $etc/token" "750 portreeve:portreeve /var/lib/portreeve" "750 portreeve:postfix /var/spool/postfix/portreeve"; do
			[ "$(stat --format='%a %U:%G %n' "${file##* }")" = "$file" ] || { echo "$1: after rpm $step it is not $file" && return 1; }
		done
	done
	[ "$(stat --format='%a %U:%G' $etc/accounts.toml)" = "640 root:portreeve" ] || { echo "$1: everybody may read accounts.toml" && return 1; }
	[ "$(systemctl is-enabled portreeve.socket portreeve-auth.socket portreeve.service | sort --unique)" = enabled ] || { echo "$1: not all units are enabled" && return 1; }
}

lintian --allow-root --fail-on error,warning /packages/*.deb
for package in /packages/*.rpm; do
	said=$(rpmlint --config /packaging/rpm/rpmlint.toml "$package") || { echo "$said" && exit 1; }
	# It ends with 0 for warnings.
	if grep -E ': [WE]: ' <<<"$said"; then
		exit 1
	fi
	files=$(rpm --query --list --package "$package")
	for file in /usr/sbin/portreeve /etc/portreeve/portreeve.toml /usr/lib/systemd/system/portreeve.socket /usr/share/man/man8/portreeve.8.gz; do
		grep --quiet --line-regexp "$file" <<<"$files" || { echo "$package lacks $file" && exit 1; }
	done
	if [ "$(rpm --query --configfiles --package "$package" | sort | tr '\n' ' ')" != "/etc/portreeve/accounts.toml /etc/portreeve/portreeve.toml " ]; then
		echo "$package has other configuration files than it should" && exit 1
	fi
	# The scripts are the shell's to read, too.
	for script in /packaging/rpm/post* /packaging/rpm/pre*; do
		sh -n "$script"
	done
done
life_of "/packages/portreeve-"*".$(uname -m).rpm"
