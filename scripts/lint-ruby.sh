#!/bin/sh
# ruby -wc for every Ruby file in git; a warning is an error.
set -eu

ruby=${1:-ruby}
count=0
for file in $(git ls-files '*.rb' '*.gemspec'); do
	said=$("$ruby" -wc "$file" 2>&1) || { echo "$file: $said"; exit 1; }
	if [ "$said" != "Syntax OK" ]; then
		echo "$file: $said"
		exit 1
	fi
	count=$((count + 1))
done
echo "ruby -wc: $count files, no warning"
