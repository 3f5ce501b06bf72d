#!/bin/sh
# Installs only what is missing. If nothing is missing, it prints nothing.
# With --for-tests it also installs what only the tests need.
set -eu

log=.build/setup.log
missing=""
need() { missing="$missing $1"; }

# Prints why the Ruby in PATH cannot be embedded, or nothing if it can.
ruby_lacks() {
	command -v ruby >/dev/null 2>&1 || { echo "there is no Ruby"; return; }
	ruby -rjson -rrbconfig -e '
		c = RbConfig::CONFIG
		if RUBY_ENGINE != "ruby" then puts "it is #{RUBY_ENGINE}, and only CRuby can be embedded"
		elsif (RUBY_VERSION.split(".").map(&:to_i) <=> [3, 1]) < 0 then puts "it is Ruby #{RUBY_VERSION}, and 3.1 is the oldest that works"
		elsif c["ENABLE_SHARED"] != "yes" then puts "it has no shared library"
		elsif !File.exist?(File.join(c["rubyhdrdir"], "ruby.h")) then puts "it has no headers"
		end' 2>&1
}
have_ruby() { [ -z "$(ruby_lacks)" ]; }

# The gems of the tests, by the names to require.
test_gems="minitest rspec simplecov timecop faraday pg sequel active_record yard"
have_gem() { ruby -e 'require ARGV[0]' "$1" >/dev/null 2>&1; }

# Looks in the same folders as orchestration/localpg. On Debian they are not in
# PATH.
have_postgres() {
	old=$IFS
	IFS=:
	for dir in $PATH; do
		if [ -x "$dir/postgres" ] && [ -x "$dir/initdb" ]; then IFS=$old; return 0; fi
	done
	IFS=$old
	for dir in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/libexec/postgresql* /usr/lib/postgresql*/bin \
		/usr/local/pgsql/bin /home/linuxbrew/.linuxbrew/opt/postgresql*/bin /opt/homebrew/opt/postgresql*/bin \
		/usr/local/opt/postgresql*/bin; do
		if [ -x "$dir/postgres" ] && [ -x "$dir/initdb" ]; then return 0; fi
	done
	return 1
}

# On Debian it is in a folder that only root has in PATH. internal/pgbouncer looks
# there, too.
have_pgbouncer() { command -v pgbouncer >/dev/null 2>&1 || [ -x /usr/sbin/pgbouncer ]; }

# It counts the instructions of the C files. An installation that is broken, such as
# one without the symbols of the dynamic linker, counts nothing.
have_valgrind() { valgrind --tool=callgrind --callgrind-out-file=/dev/null true >/dev/null 2>&1; }

have_compiler() { command -v "${CC:-cc}" >/dev/null 2>&1; }

have_sanitizers() {
	for sanitizer in address,undefined thread; do
		echo 'int main(void) { return 0; }' |
			"${CC:-cc}" -fsanitize=$sanitizer -x c - -o /dev/null >/dev/null 2>&1 || return 1
	done
}

command -v go >/dev/null 2>&1 || {
	echo "setup: Go is missing; install it from https://go.dev/dl/ or with your distribution's packages" >&2
	exit 1
}
have_compiler || need compiler
command -v pkg-config >/dev/null 2>&1 || need pkg-config
have_ruby || need ruby
have_postgres || need postgres
if [ "${1:-}" = "--for-tests" ]; then
	{ have_compiler && have_sanitizers; } || need sanitizers
	have_pgbouncer || need pgbouncer
	have_valgrind || need valgrind
	for gem in $test_gems; do have_gem "$gem" || need "$gem"; done
fi
[ -n "$missing" ] || exit 0

manager=""
for m in apt-get dnf apk pacman brew; do
	if command -v $m >/dev/null 2>&1; then manager=$m; break; fi
done

# Prints the packages of a thing, by package manager. gem:NAME is a gem that only
# RubyGems has.
packages() {
	case "$manager:$1" in
	apt-get:compiler) echo "gcc libc6-dev" ;;
	apt-get:pkg-config) echo pkg-config ;;
	apt-get:ruby) echo "ruby ruby-dev" ;;
	apt-get:postgres) echo postgresql ;;
	apt-get:sanitizers) echo "gcc libc6-dev" ;;
	apt-get:minitest | apt-get:rspec | apt-get:simplecov | apt-get:timecop) echo "ruby-$1" ;;
	apt-get:faraday) echo ruby-faraday ;;
	apt-get:yard) echo yard ;;
	apt-get:pg) echo ruby-pg ;;
	apt-get:sequel) echo ruby-sequel ;;
	apt-get:active_record) echo ruby-activerecord ;;
	dnf:compiler) echo gcc ;;
	dnf:pkg-config) echo pkgconf-pkg-config ;;
	dnf:ruby) echo "ruby ruby-devel" ;;
	dnf:postgres) echo postgresql-server ;;
	dnf:sanitizers) echo "gcc libasan libubsan libtsan" ;;
	dnf:minitest) echo rubygem-minitest ;;
	dnf:pg) echo rubygem-pg ;;
	apk:compiler | apk:sanitizers) echo build-base ;;
	apk:pkg-config) echo pkgconf ;;
	apk:ruby) echo "ruby ruby-dev ruby-json" ;;
	apk:postgres) echo postgresql ;;
	apk:minitest) echo ruby-minitest ;;
	pacman:compiler | pacman:sanitizers) echo gcc ;;
	pacman:pkg-config) echo pkgconf ;;
	pacman:ruby) echo ruby ;;
	pacman:postgres) echo postgresql ;;
	pacman:minitest) echo ruby-minitest ;;
	brew:compiler | brew:sanitizers) echo gcc ;;
	brew:pkg-config) echo pkgconf ;;
	brew:ruby) echo ruby ;;
	brew:postgres) echo postgresql ;;
	# This gem has an extension in C and is built against libpq.
	apk:pg) echo "build-base libpq-dev gem:pg" ;;
	pacman:pg) echo "postgresql-libs gem:pg" ;;
	apt-get:valgrind) echo "valgrind libc6-dbg" ;;
	*:pgbouncer | *:valgrind) echo "$1" ;;
	*:active_record) echo "gem:activerecord" ;;
	*:faraday | *:minitest | *:rspec | *:simplecov | *:timecop | *:pg | *:sequel | *:yard) echo "gem:$1" ;;
	esac
}

say_what() {
	cat >&2 <<END
setup: missing here:$missing
setup: $1
setup: What is needed: CRuby 3.1 or later with its headers and a shared libruby, the PostgreSQL server 14 or later,
setup: pkg-config and a C compiler; for the tests also the compiler's sanitizers, pgbouncer, valgrind, and the Ruby gems
setup: minitest, rspec, simplecov, timecop, faraday, pg, sequel and activerecord.
END
	exit 1
}

[ -n "$manager" ] || say_what "this script found no package manager that it knows (apt-get, dnf, apk, pacman, brew); install the missing things yourself."

sudo=""
if [ "$(id -u)" != 0 ] && [ "$manager" != brew ]; then
	command -v sudo >/dev/null 2>&1 || say_what "installing needs root, and sudo was not found; run make setup as root."
	sudo=sudo
fi

# Runs a command. Its output is shown only if it fails.
quietly() {
	mkdir -p .build
	"$@" >"$log" 2>&1 || {
		cat "$log" >&2
		say_what "\`$*\` failed."
	}
}

# The private server needs only PostgreSQL's programs. Debian's package also makes
# and starts a cluster of the system, unless this file forbids it.
cluster_conf=/etc/postgresql-common/createcluster.conf
forbid_cluster() {
	[ ! -e $cluster_conf ] || return 0
	cluster_forbidden=yes
	$sudo mkdir -p /etc/postgresql-common
	echo "create_main_cluster = false" | $sudo tee $cluster_conf >/dev/null
}

# Restores the configuration that the package wants.
restore_cluster_conf() {
	if [ -e $cluster_conf.ucf-dist ]; then
		$sudo mv $cluster_conf.ucf-dist $cluster_conf
	else
		$sudo rm -f $cluster_conf
	fi
}

# The tests start pgbouncer themselves. Debian's package also makes it a service of
# the system. While this file exists, no package starts a service.
service_policy=/usr/sbin/policy-rc.d
forbid_services() {
	case "$system" in *pgbouncer*) ;; *) return 0 ;; esac
	pgbouncer_added=yes
	[ ! -e $service_policy ] || return 0
	services_forbidden=yes
	printf '#!/bin/sh\nexit 101\n' | $sudo tee $service_policy >/dev/null
	$sudo chmod 755 $service_policy
}

cluster_forbidden="" services_forbidden="" pgbouncer_added=""
restore_apt() {
	[ -z "$cluster_forbidden" ] || restore_cluster_conf
	[ -z "$services_forbidden" ] || $sudo rm -f $service_policy
	# Otherwise it would start with the system.
	[ -z "$pgbouncer_added" ] || $sudo update-rc.d pgbouncer disable >/dev/null 2>&1 || true
}

apt_install() {
	quietly $sudo apt-get update
	quietly $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
		-o Dpkg::Options::=--force-confold "$@"
}

system="" gems=""
for thing in $missing; do
	for found in $(packages "$thing"); do
		case "$found" in
		gem:*) gems="$gems ${found#gem:}" ;;
		*) system="$system $found" ;;
		esac
	done
done

echo "setup: installing$system$gems"
if [ -n "$system" ]; then
	# The lists are split into words deliberately.
	# shellcheck disable=SC2086
	case "$manager" in
	apt-get)
		trap restore_apt EXIT
		forbid_cluster
		forbid_services
		apt_install $system
		;;
	dnf) quietly $sudo dnf install -y $system ;;
	apk) quietly $sudo apk add $system ;;
	pacman) quietly $sudo pacman -S --needed --noconfirm $system ;;
	brew) quietly brew install $system ;;
	esac
fi
# shellcheck disable=SC2086
if [ -n "$gems" ]; then quietly $sudo gem install --no-document $gems; fi

have_ruby || say_what "the Ruby at $(command -v ruby || echo "(none)") cannot be used: $(ruby_lacks); put another one first in PATH."
have_postgres || say_what "the PostgreSQL server was not found after installing it."
if [ "${1:-}" = "--for-tests" ]; then
	for gem in $test_gems; do
		have_gem "$gem" || say_what "$(command -v ruby) does not find $gem after installing it; put the Ruby of the packages first in PATH, or install $gem with the gem command of that Ruby."
	done
	have_pgbouncer || say_what "pgbouncer was not found after installing it."
	have_valgrind || say_what "valgrind does not run after installing it; try valgrind --tool=callgrind true."
	have_sanitizers || say_what "the C compiler (${CC:-cc}) has no address or thread sanitizer; make test needs a compiler with both, such as gcc on glibc."
fi
