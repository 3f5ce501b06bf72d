#!/bin/sh
# Prints a line for each thing that the project meets on this machine: its name, a
# tab, its version. What is not there has no version.
said() { printf '%s\t%s\n' "$1" "$(eval "$2" 2>/dev/null | head -n 1)"; }
gem() { said "$1" "ruby -e 'print Gem::Specification.find_by_name(%q($1)).version'"; }

PATH=$PATH:/usr/sbin
said Debian 'cat /etc/debian_version'
said Ruby 'ruby -e "print RUBY_VERSION"'
said PostgreSQL 'for p in $(ls -d /usr/lib/postgresql/*/bin | sort -rV); do "$p/postgres" --version | grep -o "[0-9][0-9.]*[a-z0-9]*" | head -n 1; done'
said pgbouncer 'pgbouncer --version | grep -o "[0-9][0-9.]*"'
said valgrind 'valgrind --version | grep -o "[0-9][0-9.]*"'
for name in activerecord sequel pg json bigdecimal faraday minitest rspec-core; do gem $name; done
said gcc '${CC:-gcc} -dumpfullversion'
said Go 'go env GOVERSION'
