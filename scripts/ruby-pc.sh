#!/bin/sh
# cgo asks pkg-config for "ruby". If pkg-config does not know the Ruby that is
# first in PATH, this script writes .build/pkgconfig/ruby.pc. The values come from
# that Ruby's RbConfig.
set -eu

ruby=${RUBY:-ruby}
wanted=$("$ruby" -rrbconfig -e 'print RbConfig::CONFIG["ruby_version"]')
unset PKG_CONFIG_PATH
known=$(pkg-config --variable=ruby_version ruby 2>/dev/null || true)
if [ "$known" = "$wanted" ]; then
	rm -f .build/pkgconfig/ruby.pc
	exit 0
fi
mkdir -p .build/pkgconfig
"$ruby" -rrbconfig -e '
  c = RbConfig::CONFIG
  puts "Name: ruby"
  puts "Description: the Ruby first in PATH"
  puts "Version: #{c["ruby_version"]}"
  puts "Cflags: -I#{c["rubyarchhdrdir"]} -I#{c["rubyhdrdir"]}"
  puts "Libs: -L#{c["libdir"]} -Wl,-rpath,#{c["libdir"]} #{c["LIBRUBYARG_SHARED"]}"
' >.build/pkgconfig/ruby.pc.new
if cmp -s .build/pkgconfig/ruby.pc.new .build/pkgconfig/ruby.pc; then
	rm .build/pkgconfig/ruby.pc.new
else
	mv .build/pkgconfig/ruby.pc.new .build/pkgconfig/ruby.pc
fi
