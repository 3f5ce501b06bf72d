#!/bin/sh
# Runs the project on another release of Debian or Ubuntu, as on a fresh machine:
#
#	scripts/on.sh SUITE [COMMAND...]
#
# SUITE is bookworm, trixie, sid, sid+ruby3.4 (sid with that package from
# experimental), or Ubuntu's noble or jammy, for which KEYRING names Ubuntu's keyring if
# it is not installed. Jammy's Ruby is refused: it is there for its PostgreSQL. The root
# of the suite is made by debootstrap and kept in .build/on/SUITE/base. A run writes into
# a layer above it, which starts empty: so each run begins on a machine that has Go, git
# and make. Modules come from this machine's cache.
#
# Without a COMMAND, it runs the two commands of the README and prints what differs
# from here. With PACKAGES it tests only those Go packages. With WITH it first installs
# those Debian packages. With a COMMAND it goes on in the layer of the last run, with
# the present sources: so that you can look at a failure.
#
# Needs root (it mounts), debootstrap, and the network. on-inside.sh is what runs inside.
set -eu

suite=${1:?usage: scripts/on.sh SUITE [COMMAND...]}
shift
cd "$(dirname "$0")/.."
dir=$(pwd)/.build/on/$suite
fail() { echo "on: $1" >&2; exit 1; }

case "$suite" in
bookworm | trixie | sid | sid+ruby3.4)
	mirror=${MIRROR:-http://deb.debian.org/debian} keyring=${KEYRING:-/usr/share/keyrings/debian-archive-keyring.gpg}
	components=main script=sid
	;;
noble | jammy)
	mirror=${MIRROR:-http://archive.ubuntu.com/ubuntu} keyring=${KEYRING:-/usr/share/keyrings/ubuntu-archive-keyring.gpg}
	components=main,universe script=gutsy # what debootstrap calls all of Ubuntu
	;;
*) fail "there is no suite $suite here; the suites are bookworm, trixie, sid, sid+ruby3.4, noble and jammy." ;;
esac
[ "$(id -u)" = 0 ] || fail "mounting the root of another system needs root; run it as root."
mkdir -p "$dir"
exec 9>"$dir/lock"
flock --nonblock 9 || fail "another run on $suite is going on."

if ! command -v debootstrap >/dev/null 2>&1; then
	command -v apt-get >/dev/null 2>&1 || fail "debootstrap is missing; install it with your distribution's packages."
	{ apt-get update && apt-get install -y --no-install-recommends debootstrap; } >"$dir/debootstrap.log" 2>&1 ||
		fail "debootstrap could not be installed; all of the output is in $dir/debootstrap.log."
fi

if [ ! -e "$dir/base/etc/debian_version" ]; then
	echo "on: making the root of $suite in $dir/base"
	rm -rf "$dir/base.new"
	[ -e "$keyring" ] || fail "there is no $keyring to check the packages with; install the keyring of the distribution, or name it with KEYRING."
	debootstrap --variant=minbase --include=ca-certificates,make,git --components=$components --keyring="$keyring" \
		"${suite%%+*}" "$dir/base.new" "$mirror" $script >"$dir/debootstrap.log" 2>&1 ||
		fail "debootstrap failed; all of its output is in $dir/debootstrap.log."
	# A mirror's copy of sid may be some weeks old.
	echo 'Acquire::Check-Valid-Until "false";' >"$dir/base.new/etc/apt/apt.conf.d/date"
	case "$suite" in
	*+*) echo "deb $mirror experimental main" >"$dir/base.new/etc/apt/sources.list.d/experimental.list" ;;
	esac
	mv "$dir/base.new" "$dir/base"
fi

# The sources as they are now, without what git ignores.
rm -rf "$dir/sources"
mkdir -p "$dir/sources" "$dir/apt/partial" "$dir/go-build" "$dir/root" "$dir/work" "$dir/logs"
git ls-files -z --cached --others --exclude-standard |
	tar --null --create --ignore-failed-read --warning=no-failed-read --files-from=- |
	tar --extract --directory="$dir/sources"
go mod download
[ $# -gt 0 ] || { rm -rf "$dir/layer" "$dir/logs"; mkdir -p "$dir/logs"; }
mkdir -p "$dir/layer"

# What is mounted, and every process inside, ends with unshare, and that one with this
# script. It ignores the gentle signals.
export DIR="$dir" GOROOT_HERE="$(go env GOROOT)" MODULES="$(go env GOMODCACHE)"
export SUITE="$suite" EXTRA_RUBY="" WITH="${WITH:-}" PACKAGES="${PACKAGES:-}"
case "$suite" in *+*) EXTRA_RUBY=${suite#*+} ;; esac
unshare --mount --pid --fork --kill-child --propagation private sh -c '
	set -eu
	root=$DIR/root
	mount -t overlay overlay -o "lowerdir=$DIR/base,upperdir=$DIR/layer,workdir=$DIR/work" "$root"
	bind() { mkdir -p "$root$2"; mount --bind "$1" "$root$2"; }
	bind "$DIR/sources" /project
	bind "$DIR/logs" /logs
	bind "$DIR/apt" /var/cache/apt/archives
	bind "$DIR/go-build" /var/cache/go-build
	bind "$MODULES" /var/cache/go-mod
	bind "$GOROOT_HERE" /usr/local/go
	mount -t proc proc "$root/proc"
	mount --rbind /sys "$root/sys"
	mount --rbind /dev "$root/dev"
	mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
	cat /etc/resolv.conf >"$root/etc/resolv.conf"
	cat /etc/hosts >"$root/etc/hosts"
	exec chroot "$root" sh /project/scripts/on-inside.sh "$@"
' - "$@" <&0 9>&- &
inside=$!
trap 'kill -KILL $inside; exit 1' HUP INT TERM
status=0
wait $inside || status=$?
trap - HUP INT TERM
[ $# = 0 ] || exit $status
[ -e "$dir/logs/versions" ] || fail "the run ended before its report; the logs are in $dir/logs."

{
	echo
	printf '%-12s %-16s %s\n' "" here "$suite"
	sh scripts/versions.sh | while IFS="$(printf '\t')" read -r name here; do
		printf '%-12s %-16s %s\n' "$name" "${here:--}" "$(awk -F '\t' -v n="$name" '$1 == n { print $2 }' "$dir/logs/versions")"
	done
	echo
	while read -r stage result seconds; do printf '%-12s %-16s %s s\n' "$stage" "$result" "$seconds"; done <"$dir/logs/stages"
	failed=$(grep -ahoE '^ *--- FAIL: [^ ]+|^ +[0-9]+\) (Failure|Error):' "$dir"/logs/*.log | sort | uniq -c) || true
	[ -z "$failed" ] || printf '\nwhat failed:\n%s\n' "$failed"
} | tee "$dir/report.txt"
echo "on: the logs are in $dir/logs"
exit $status
