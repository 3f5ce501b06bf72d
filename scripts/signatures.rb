# frozen_string_literal: true

# Writes the RBS signatures of the gem, rubyhost/ruby/sig, from the types in the YARD
# comments: one file for each file of lib that has something public. With --check it
# writes nothing, and fails when a file would change, or when YARD warns of a comment.
#
#   ruby scripts/signatures.rb [--check]

require "fileutils"
require "stringio"
require "yard"

# A type as YARD writes it, as RBS writes it.
module SignatureType
  GENERIC = { "Hash" => "Hash[untyped, untyped]", "Array" => "Array[untyped]", "Enumerator" => "Enumerator[untyped, untyped]",
              "Boolean" => "bool", "true" => "bool", "false" => "bool", "Object" => "untyped", "BasicObject" => "untyped",
              "Proc" => "^(*untyped) -> untyped", "Struct" => "Struct[untyped]" }.freeze
  # Their libraries have no signatures that every reader of these has.
  FOREIGN = /\A(?:Faraday|ActiveSupport|SequelAdapter|Sequel|PG)\b/

  module_function

  # @param types [Array<String>, nil] alternatives
  # @return [String, nil]
  def of(types)
    return if types.nil? || types.empty?

    all = types.flat_map { |type| parts(type) }.map { |type| one(type) }.uniq
    return "untyped" if all.include?("untyped")

    optional = all.delete("nil")
    return "nil" if all.empty?

    text = all.size > 1 || (optional && all.first.start_with?("^")) ? "(#{all.join(" | ")})" : all.first
    optional ? "#{text}?" : text
  end

  # @return [Array<String>] what commas outside of brackets separate
  def parts(text)
    depth = 0
    arrows = text.gsub("=>", "\u21d2") # so that each bracket has its other half
    arrows.each_char.slice_when do |char, _|
      depth += 1 if "{<(".include?(char)
      depth -= 1 if "}>)".include?(char)
      char == "," && depth.zero?
    end.map { |chars| chars.join.delete_suffix(",").gsub("\u21d2", "=>").strip }
  end

  def one(type)
    case type
    when /\AHash\{(.*?)\s*=>\s*(.*)\}\z/ then "Hash[#{of(parts(Regexp.last_match(1)))}, #{of(parts(Regexp.last_match(2)))}]"
    when /\AArray<(.*)>\z/ then "Array[#{of(parts(Regexp.last_match(1)))}]"
    when /\AArray\((.*)\)\z/ then "[#{parts(Regexp.last_match(1)).map { |part| one(part) }.join(", ")}]"
    when /\AClass<(.*)>\z/ then "singleton(#{Regexp.last_match(1)})"
    when FOREIGN then "untyped"
    when "nil", "void", "self" then type
    when /\A[A-Z][\w:]*\z/ then GENERIC.fetch(type, type)
    else "untyped" # such as #to_s
    end
  end
end

# What the gem's files define in public, as RBS.
class Signatures
  # Adapters, which users reach through Sequel and ActiveRecord, what only the host can load,
  # and the parts of a comparison.
  LEFT_OUT = %w[lib/tasker/host lib/active_record lib/sequel lib/tasker/active_record lib/tasker/sequel lib/tasker/postgres
                lib/tasker/testing/exactly_once/].freeze
  HEAD = "# Written by scripts/signatures.rb, from the comments of %s.\n"

  # @param gem [String] the gem's folder
  def initialize(gem)
    @gem = gem
    # A class comes before what a layer mixes into it.
    @sources = Dir["lib/**/*.rb", base: gem].reject { |file| file.start_with?(*LEFT_OUT) }.sort_by { |file| [file.include?("/compat/") ? 1 : 0, file] }
    Dir.chdir(gem) { YARD.parse(@sources) }
  end

  # @return [Hash{String => String}] the text of each file of sig
  def files
    @sources.to_h { |source| ["sig/#{source.delete_prefix("lib/").delete_suffix(".rb")}.rbs", text(source)] }.compact
  end

  # @return [Array<String>] the public methods and classes without a comment
  def undocumented
    YARD::Registry.all(:class, :module, :method).select { |object| public?(object) && object.docstring.blank? && says_nothing(object) }
                  .map { |object| "#{object.file}:#{object.line}: #{object.path} has no comment" }
  end

  private

  # What it does is known from its name, or from where it comes.
  def says_nothing(object)
    return !object.type.equal?(:class) || !object.superclass.path.end_with?("Error", "Violation") unless object.type == :method

    !object.is_alias? && !%i[initialize to_s inspect hash == method_missing respond_to_missing?].include?(object.name) &&
      object.overridden_method.nil? && object.docstring.tags.empty? && !of_core?(object)
  end

  # Whether the method is one of a class of Ruby's own, such as Hash.
  def of_core?(method)
    ancestors = method.namespace.type == :class ? method.namespace.inheritance_tree.map(&:path) : []
    ancestors.any? { |name| %w[Hash Array Struct].include?(name) && Object.const_get(name).method_defined?(method.name) } ||
      (ancestors.include?("Struct") && method.attr_info)
  end

  def text(source)
    root = YARD::Registry.root.children.select { |child| namespace?(child) }
    body = root.flat_map { |namespace| inside(namespace, source) }
    [format(HEAD, source), *body].join("\n").concat("\n") unless body.empty?
  end

  def namespace?(object) = %i[module class].include?(object.type)

  # The lines of what the file says of the namespace.
  def inside(namespace, source)
    return [] unless public?(namespace)

    first = namespace.file == source
    own = namespace.children.select { |child| child.file == source && !namespace?(child) && public?(child) }
    lines = mixins(namespace, source)
    lines += constants(own) + methods(own)
    lines += namespace.children.select { |child| namespace?(child) }.flat_map { |child| inside(child, source) }
    return [] if lines.empty? && !first

    ["#{namespace.type} #{namespace.name}#{superclass(namespace) if first}", *lines.map { |line| "  #{line}" }, "end"]
  end

  # Neither private nor marked as the project's own, like all that it is in.
  def public?(object)
    return true if object.root?

    object.visibility == :public && !object.docstring.has_tag?(:private) && object.docstring.tag(:api)&.text != "private" &&
      public?(object.namespace)
  end

  def superclass(object)
    return unless object.type == :class

    name = (meant_by(YARD::Registry.resolve(object.namespace, object.superclass.to_s)) || object.superclass).to_s
    " < #{{ "Hash" => "Hash[String, untyped]" }.fetch(name) { SignatureType::GENERIC.fetch(name, name) }}" unless %w[Object BasicObject].include?(name) || name.empty?
  end

  # In the file of the namespace. What a layer mixes into it is in the layer's file.
  def mixins(object, source)
    { "include" => :instance, "extend" => :class }.flat_map do |word, scope|
      object.mixins(scope).filter_map do |mixin|
        next if mixin == object || (mixin.path != "Enumerable" && !(mixin.is_a?(YARD::CodeObjects::Base) && public?(mixin)))

        layer = mixin.path != "Enumerable" && mixin.file.include?("/compat/")
        "#{word} #{mixin.path}#{"[untyped]" if mixin.path == "Enumerable"}" if (layer ? mixin : object).file == source
      end
    end
  end

  # The class for which a constant is another name. RBS before 3.0 has no names for names.
  def meant_by(object)
    return object unless object&.type == :constant

    meant = YARD::Registry.resolve(object.namespace, object.value) if object.value.match?(/\A[A-Z][\w:]*\z/)
    meant_by(meant)
  end

  def constants(objects)
    objects.select { |object| object.type == :constant }.map do |constant|
      meant = meant_by(constant)
      type = meant ? "singleton(#{meant.path})" : SignatureType.of(constant.docstring.tag(:return)&.types)
      type ||= { '"' => "String", "'" => "String" }.fetch(constant.value[0]) { constant.value.match?(/\A\d+\z/) ? "Integer" : "untyped" }
      "#{constant.name}: #{type}"
    end
  end

  def methods(objects)
    ordered = objects.select { |object| object.type == :method }.sort_by.with_index { |m, i| [m.scope == :class ? 0 : 1, m.name == :initialize ? 0 : 1, i] }
    ordered.map { |method| method_line(method) }
  end

  def method_line(method)
    on = "self." if method.scope == :class
    return "alias #{on}#{method.name} #{on}#{method.namespace.aliases[method]}" if method.is_alias?
    return "attr_#{method.writer? ? "writer" : "reader"} #{on}#{method.name.to_s.delete("=")}: #{returned(method)}" if method.attr_info

    "def #{on}#{method.name}: (#{parameters(method).join(", ")}) #{block(method)}-> #{returned(method)}"
  end

  def returned(method)
    return "void" if method.name == :initialize

    SignatureType.of(method.docstring.tag(:return)&.types) ||
      { "?" => "bool" }.fetch(method.name.to_s[-1]) { %i[to_s inspect].include?(method.name) ? "String" : "untyped" }
  end

  # Positional ones first, as RBS wants them.
  def parameters(method)
    types = method.docstring.tags(:param).to_h { |tag| [tag.name.to_s.delete("*&:").delete_prefix("_"), SignatureType.of(tag.types)] }
    (method.parameters + nameless(method)).filter_map do |name, default|
      bare = name.delete("*&:").delete_prefix("_")
      type = types.fetch(bare, nil) || "untyped"
      case name
      when "..." then "*untyped, **untyped"
      when /\A&/ then nil
      when /\A\*\*/ then "**untyped #{bare}".rstrip
      when /\A\*/ then "*#{type[/\AArray\[(.*)\]\z/, 1] || type} #{bare}".rstrip
      when /:\z/ then "#{"?" if default}#{bare}: #{type}"
      else "#{"?" if default}#{type} #{bare}"
      end
    end
  end

  # YARD leaves out a splat without a name.
  def nameless(method)
    taken = method.signature.to_s[/\((.*)\)/m, 1].to_s.split(",").map(&:strip)
    (%w[* **] & taken).reject { |splat| method.parameters.any? { |name, _| name == splat } }
  end

  # Optional, since a comment does not say whether a method does without it.
  def block(method)
    yields = method.docstring.tags(:yieldparam)
    result = method.docstring.tag(:yieldreturn)
    taken = method.parameters.any? { |name, _| name.start_with?("&") || name == "..." }
    return unless taken || yields.any? || result || method.docstring.has_tag?(:yield)

    given = yields.map { |tag| "#{SignatureType.of(tag.types) || "untyped"} #{tag.name}" }
    given << "*untyped" if given.empty? && taken
    "?{ (#{given.join(", ")}) -> #{SignatureType.of(result&.types) || "untyped"} } "
  end
end

if $PROGRAM_NAME == __FILE__
  said = YARD::Logger.instance.io = StringIO.new
  gem = File.expand_path("../rubyhost/ruby", __dir__)
  signatures = Signatures.new(gem)
  # Other warnings are about Ruby's own classes, which YARD does not read.
  wrong = said.string.scan(/^\[warn\]: (@.*)\n *in file .(.*)' near line (\d+)/).map { |what, file, line| "#{file}:#{line}: #{what}" }
  wrong += signatures.undocumented
  old = Dir["sig/**/*.rbs", base: gem].to_h { |file| [file, File.read(File.join(gem, file))] }
  new = signatures.files
  if ARGV == ["--check"]
    (old.to_a - new.to_a + (new.to_a - old.to_a)).map(&:first).uniq.each { |file| wrong << "rubyhost/ruby/#{file} is not what the comments say: make signatures" }
  else
    (old.keys - new.keys).each { |file| File.delete(File.join(gem, file)) }
    new.each do |file, text|
      path = File.join(gem, file)
      FileUtils.mkdir_p(File.dirname(path))
      File.write(path, text)
    end
  end
  abort wrong.join("\n") if wrong.any?
  puts "signatures: #{new.size} files"
end
