#!/bin/sh
# What on.sh runs inside the root of a suite: a command, or the commands of the README
# one after the other. It writes /logs/STAGE.log, /logs/stages and /logs/versions.
set -u

export HOME=/root LANG=C.UTF-8 PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# The sources are a copy without git's folder, so there is no revision to stamp.
export GOMODCACHE=/var/cache/go-mod GOCACHE=/var/cache/go-build GOFLAGS=-buildvcs=false
export PKG_CONFIG_PATH=/project/.build/pkgconfig # as the Makefile has it, for commands without make
unset GOROOT MAKEFLAGS MAKELEVEL
cd /project || exit 1
[ $# = 0 ] || exec "$@"

# Installs packages before the project's own set-up.
install() {
	{ apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"; } >/logs/install.log 2>&1 ||
		{ tail -n 5 /logs/install.log; echo "on: $* could not be installed"; exit 1; }
}
if [ -n "$EXTRA_RUBY" ]; then
	install "$EXTRA_RUBY" "$EXTRA_RUBY-dev"
	for program in ruby gem; do ln -s "/usr/bin/$program${EXTRA_RUBY#ruby}" "/usr/local/bin/$program"; done
fi
# The list is split into words deliberately.
# shellcheck disable=SC2086
[ -z "$WITH" ] || install $WITH

go clean -testcache
status=0
: >/logs/stages
stage() {
	name=$1
	shift
	echo "== $SUITE: $name"
	began=$(date +%s)
	if "$@" >"/logs/$name.log" 2>&1; then
		result=passed
	else
		result=FAILED status=1
		tail -n 40 "/logs/$name.log"
	fi
	echo "$name $result $(($(date +%s) - began))" >>/logs/stages
}
stage setup make setup
stage demo make demo
stage lint make lint/ruby
if [ -n "$PACKAGES" ]; then
	stage test make test/go "PACKAGES=$PACKAGES"
else
	stage test make test
fi
sh scripts/versions.sh >/logs/versions
exit $status
