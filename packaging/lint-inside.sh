#!/bin/bash
# lint.sh runs this where lintian and rpmlint are.
set -euo pipefail

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
