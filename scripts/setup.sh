#!/bin/sh
# Installs what is missing and nothing else; says nothing when nothing is.
# With --for-tests also what only the tests need.
set -eu

missing=""
need() { missing="$missing $1"; }

have_ruby() {
	command -v ruby >/dev/null 2>&1 &&
		ruby -rjson -rrbconfig -e 'exit File.exist?(File.join(RbConfig::CONFIG["rubyhdrdir"], "ruby.h")) && RbConfig::CONFIG["ENABLE_SHARED"] == "yes"' >/dev/null 2>&1
}

have_postgres() {
	for dir in $(echo "$PATH" | tr ':' ' ') /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/libexec/postgresql* \
		/opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin; do
		if [ -x "$dir/postgres" ] && [ -x "$dir/initdb" ]; then return 0; fi
	done
	return 1
}

command -v go >/dev/null 2>&1 || { echo "setup: Go is missing; install it from https://go.dev/dl/ or your distribution" >&2; exit 1; }
command -v "${CC:-cc}" >/dev/null 2>&1 || need compiler
command -v pkg-config >/dev/null 2>&1 || need pkg-config
have_ruby || need ruby
have_postgres || need postgres
if [ "${1:-}" = "--for-tests" ] && have_ruby; then
	ruby -e 'require "faraday"' >/dev/null 2>&1 || need faraday
	ruby -e 'require "minitest"' >/dev/null 2>&1 || need minitest
fi
[ -n "$missing" ] || exit 0

manager=""
for m in apt-get dnf apk pacman brew; do
	if command -v $m >/dev/null 2>&1; then manager=$m; break; fi
done

# The packages of a thing, by package manager.
packages() {
	case "$manager:$1" in
	apt-get:compiler) echo "gcc libc6-dev" ;;
	apt-get:pkg-config) echo pkg-config ;;
	apt-get:ruby) echo "ruby ruby-dev" ;;
	apt-get:postgres) echo postgresql ;;
	apt-get:faraday) echo ruby-faraday ;;
	apt-get:minitest) echo ruby-minitest ;;
	dnf:compiler) echo "gcc libasan libubsan libtsan" ;;
	dnf:pkg-config) echo pkgconf-pkg-config ;;
	dnf:ruby) echo "ruby ruby-devel" ;;
	dnf:postgres) echo postgresql-server ;;
	dnf:minitest) echo rubygem-minitest ;;
	apk:compiler) echo build-base ;;
	apk:pkg-config) echo pkgconf ;;
	apk:ruby) echo "ruby ruby-dev ruby-json" ;;
	apk:postgres) echo postgresql ;;
	apk:minitest) echo ruby-minitest ;;
	pacman:compiler) echo gcc ;;
	pacman:pkg-config) echo pkgconf ;;
	pacman:ruby) echo ruby ;;
	pacman:postgres) echo postgresql ;;
	pacman:minitest) echo ruby-minitest ;;
	brew:compiler) echo gcc ;;
	brew:pkg-config) echo pkgconf ;;
	brew:ruby) echo ruby ;;
	brew:postgres) echo postgresql ;;
	*:faraday | *:minitest) echo "gem:$1" ;;
	esac
}

say_what() {
	cat >&2 <<END
setup: missing here:$missing
setup: $1
setup: What is needed: CRuby 3.1 or later with its headers and a shared libruby, the PostgreSQL server, pkg-config,
setup: a C compiler; for the tests also the Ruby gems faraday and minitest.
END
	exit 1
}

[ -n "$manager" ] || say_what "no package manager that this script knows (apt-get, dnf, apk, pacman, brew); install them by hand."

sudo=""
if [ "$(id -u)" != 0 ] && [ "$manager" != brew ]; then
	command -v sudo >/dev/null 2>&1 || say_what "installing needs root, and there is no sudo; run this as root."
	sudo=sudo
fi

system="" gems=""
for thing in $missing; do
	found=$(packages "$thing")
	case "$found" in
	gem:*) gems="$gems ${found#gem:}" ;;
	*) system="$system $found" ;;
	esac
done

echo "setup: installing$system$gems"
if [ -n "$system" ]; then
	case "$manager" in
	apt-get)
		# The private server needs the programs, not a cluster of the system's.
		if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
			$sudo mkdir -p /etc/postgresql-common
			echo "create_main_cluster = false" | $sudo tee /etc/postgresql-common/createcluster.conf >/dev/null
		fi
		$sudo apt-get update -qq
		# shellcheck disable=SC2086
		$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
			-o Dpkg::Options::=--force-confold $system >/dev/null
		;;
	dnf) $sudo dnf install -y -q $system ;;
	apk) $sudo apk add --quiet $system ;;
	pacman) $sudo pacman -S --needed --noconfirm --quiet $system ;;
	brew) brew install --quiet $system ;;
	esac
fi
if [ -n "$gems" ]; then $sudo gem install --silent --no-document $gems; fi

have_ruby || say_what "there is a Ruby, but without headers or a shared libruby ($(command -v ruby)); put one with both first in PATH."
have_postgres || say_what "the PostgreSQL server was not found after installing it."
