# frozen_string_literal: true

# Makes one SVG that moves out of the SVGs of its frames, and prints it. Each frame is
# shown for half a second, the last one for three.
#
#   ruby scripts/animate.rb FRAME.svg...

SECONDS = 0.5
LAST = 3.0

# What stands before the element, and names that frames have in common, have to go.
frames = ARGV.sort.each_with_index.map do |file, i|
  File.read(file)[/<svg.*/m].gsub(/(\bid="|url\(#)/) { "#{Regexp.last_match(1)}frame#{i}-" }
end
abort "animate: there are no frames" if frames.empty?
size = frames.map { |frame| frame.match(/<svg[^>]*?\bwidth="([\d.]+)[^"]*"[^>]*?\bheight="([\d.]+)/m).captures.map(&:to_f) }.transpose.map(&:max)
ends = frames.each_index.map { |i| i == frames.size - 1 ? (SECONDS * i) + LAST : SECONDS * (i + 1) }
whole = ends.last

puts %(<svg xmlns="http://www.w3.org/2000/svg" width="#{size[0]}" height="#{size[1]}" viewBox="0 0 #{size[0]} #{size[1]}">)
frames.each_with_index do |frame, i|
  from = i.zero? ? 0.0 : ends[i - 1] / whole
  to = ends[i] / whole
  moments = [[0.0, from.zero? ? "visible" : "hidden"], [from, "visible"], [to, "hidden"]].select { |at, _| at < 1 }.to_h
  puts %(<g visibility="#{i == frames.size - 1 ? "visible" : "hidden"}"><animate attributeName="visibility" calcMode="discrete" repeatCount="indefinite" ) +
       %(dur="#{whole}s" keyTimes="#{moments.keys.map { |at| at.round(5) }.join(";")}" values="#{moments.values.join(";")}"/>)
  puts frame, "</g>"
end
puts "</svg>"
