#!/bin/sh
# Draws docs/pictures/*.svg from the text beside them. Each picture bears the
# checksum of its source, which a test compares: a source that has changed
# needs its picture drawn anew.
set -eu
cd "$(dirname "$0")/../docs/pictures"
for tool in dot mscgen; do
	command -v "$tool" >/dev/null || { echo "$tool is missing: apt-get install graphviz mscgen" >&2; exit 1; }
done
# Terminals: a fixed version, because a picture that nobody has changed should not change.
freeze="go run github.com/charmbracelet/freeze@v0.2.2"
terminal() { $freeze "$1" --language ansi --font.family monospace --font.ligatures=false --font.size 13 --padding 20 --output "$2" >&2; }
for source in *.dot *.msc *.ansi; do
	picture="${source%.*}.svg"
	case "$source" in
	*.dot) dot -Tsvg "$source" ;;
	# mscgen leaves the background transparent, which a dark page shows as black on black.
	*.msc) mscgen -T svg -i "$source" -o - | sed '0,/^stroke-width.*>$\|^ stroke-width.*>$/s//&\n<rect width="100%" height="100%" fill="white"\/>/; s/<text /<text dy="-2" /' ;;
	*.ansi) terminal "$source" "$picture" && cat "$picture" ;;
	esac > "$picture.new"
	mv "$picture.new" "$picture"
	echo "<!-- source $(sha256sum "$source" | cut -d' ' -f1) -->" >> "$picture"
	echo "docs/pictures/$picture"
done
# A folder of terminals is a picture that moves.
for frames in *.frames; do
	picture="${frames%.*}_live.svg"
	made=$(mktemp -d)
	for frame in "$frames"/*.ansi; do terminal "$frame" "$made/$(basename "$frame" .ansi).svg"; done
	ruby ../../scripts/animate.rb "$made"/*.svg > "$picture"
	rm -r "$made"
	echo "<!-- source $(cat "$frames"/*.ansi | sha256sum | cut -d' ' -f1) -->" >> "$picture"
	echo "docs/pictures/$picture"
done
