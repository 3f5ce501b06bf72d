#!/bin/sh
# Installs what only the contenders of `make bench` need: Redis, Sidekiq, delayed_job and
# the pg gem. If nothing is missing, it prints nothing.
set -eu

missing=""
have_gem() { ruby -e 'require ARGV[0]' "$1" >/dev/null 2>&1; }
command -v redis-server >/dev/null 2>&1 || missing="$missing redis-server"
command -v sidekiq >/dev/null 2>&1 || missing="$missing ruby-sidekiq"
have_gem pg || missing="$missing ruby-pg"
have_gem delayed_job_active_record || missing="$missing ruby-delayed-job-active-record"
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
	echo "bench/setup: install Redis, and the gems sidekiq, pg and delayed_job_active_record; this script knows only apt-get." >&2
	exit 1
fi
sudo=""
[ "$(id -u)" = 0 ] || sudo=sudo

# The benchmark starts a Redis of its own. Debian's package also makes it a service of the
# system. While this file exists, no package starts a service.
service_policy=/usr/sbin/policy-rc.d
restore() {
	[ -z "$forbidden" ] || $sudo rm -f $service_policy
	[ -z "$redis_added" ] || $sudo update-rc.d redis-server disable >/dev/null 2>&1 || true
}
forbidden="" redis_added=""
trap restore EXIT
case "$missing" in *redis-server*) redis_added=yes ;; esac
if [ ! -e $service_policy ]; then
	forbidden=yes
	printf '#!/bin/sh\nexit 101\n' | $sudo tee $service_policy >/dev/null
	$sudo chmod 755 $service_policy
fi

echo "bench/setup: installing$missing"
$sudo apt-get update -qq
# The list is split into words deliberately.
# shellcheck disable=SC2086
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
