#!/bin/sh
# Runs ruby -wc on every Ruby file. A warning is an error.
set -eu

ruby=${1:-ruby}
list=$(find . \( -name .git -o -name .build \) -prune -o \( -name '*.rb' -o -name '*.gemspec' \) -print)
[ -n "$list" ] || { echo "ruby -wc: found no Ruby file" >&2; exit 1; }
count=0
for file in $list; do
	said=$("$ruby" -wc "$file" 2>&1) || { echo "$file: $said" >&2; exit 1; }
	if [ "$said" != "Syntax OK" ]; then
		echo "$file: $said" >&2
		exit 1
	fi
	count=$((count + 1))
done
echo "ruby -wc: $count files, no warning"
