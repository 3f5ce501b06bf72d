# frozen_string_literal: true

require_relative "source"
require_relative "facts"
require_relative "shape"
require_relative "scope"

module Tasker
  module Host
    module Survey
      # Walks the tree of a file once, and notes the facts that the rules ask for.
      class Reader
        GUARDS = { "const_defined?" => true, "respond_to?" => true, "method_defined?" => true }.freeze
        # Calls on constants and numbers are noted whatever their names.
        NAMED = { const_path_ref: true, top_const_ref: true, "@int": true, "@float": true, unary: true, paren: true }.freeze
        SINGLETON = ".singleton" # of class << self
        OWN_FILE = [:"@kw", "__FILE__"].freeze
        private_constant :GUARDS, :NAMED, :SINGLETON, :OWN_FILE

        # @param file [String]
        # @param text [String]
        # @param wanted [Hash{String => true}] the names of calls that are noted whatever
        #   they are called on
        # @return [Facts, nil] nil when the text is no Ruby
        def self.read(file, text, wanted = {})
          tree = Source.tree(text, file)
          tree && new(file, wanted).read(tree)
        end

        def initialize(file, wanted)
          @facts = Facts.new(file)
          @wanted = wanted
          @owners = []
          @nesting = []
          @handed = {} # [owner, method, place of the argument] of calls that hand task.context over
          @lent = [] # writes to parameters
          @scope = Scope.new
          @conditions = 0
        end

        # @return [Facts]
        def read(tree)
          begin
            walk(tree)
          rescue SystemStackError
            nil # nested too deeply: the rest of the file is not read
          end
          @lent.each { |parameter, write| @facts.writes << write if @handed.key?(parameter) }
          @facts
        end

        private

        def walk(node)
          return unless node.is_a?(Array)

          kind = node[0]
          return visit(kind, node) if kind.is_a?(Symbol)

          i = -1
          walk(node[i]) while (i += 1) < node.size
        end

        def children(node)
          i = 0
          walk(node[i]) while (i += 1) < node.size
        end

        def visit(kind, node)
          case kind
          when :@ident, :@kw, :@tstring_content, :symbol_literal, :void_stmt, :@const, :@label, :@int, :@ivar, :@op, :@period then nil
          when :class, :module then enter(kind, node)
          when :sclass then within("#{owner}#{SINGLETON}") { children(node) }
          when :def, :defs then define(node)
          when :var_ref, :const_path_ref, :top_const_ref then kind == :var_ref && node[1][0] != :@const ? nil : constant(node)
          when :call, :command_call, :fcall, :vcall, :command then call(node, nil, false)
          when :method_add_arg then call(node[1], node[2], false)
          when :method_add_block then block(node)
          when :assign, :opassign then assign(node)
          when :massign then massign(node)
          when :binary then binary(node)
          when :defined then guard(Shape.path(node[1]) || [Shape.of(node[1])&.last])
          when :if, :unless, :if_mod, :unless_mod, :ifop then condition(node)
          when :bodystmt then body(node)
          when :aref then read_key(node)
          when :lambda then @scope.shadowed(node) { children(node) }
          else children(node)
          end
        end

        def owner = @owners.last || ""

        def within(name)
          before = @nesting
          @owners.push(name)
          @nesting = @owners.reverse.map { |around| around.delete_suffix(SINGLETON) }.uniq - [""]
          yield
        ensure
          @nesting = before
          @owners.pop
        end

        def enter(kind, node)
          path = Shape.path(node[1])
          return children(node) unless path

          name = Shape.absolute?(node[1]) || owner.empty? ? path.join("::") : "#{owner}::#{path.join("::")}"
          @facts.definitions << Facts::Definition.new(name, kind, Shape.line(node[1]))
          walk(node[2]) if kind == :class # the superclass belongs to what is around
          within(name) { @scope.nested { walk(node.last) } }
        end

        def define(node)
          name, params, body = node[0] == :defs ? node.values_at(3, 4, 5) : node.values_at(1, 2, 3)
          singleton = node[0] == :defs || owner.end_with?(SINGLETON)
          @facts.methods << Facts::Method.new(owner.delete_suffix(SINGLETON), "#{"." if singleton}#{Shape.name(name)}", Shape.line(name), @conditions.zero?)
          @scope.method(Shape.name(name), params) do
            walk(params)
            walk(body)
          end
        end

        def constant(node)
          path = Shape.path(node)
          return path || children(node) unless path

          @facts.constants << Facts::Constant.new(path, Shape.absolute?(node), @nesting, Shape.line(node))
        end

        # A call, with the arguments that stand beside it in the tree.
        def call(node, arguments, block)
          return children(node) unless %i[call command_call fcall vcall command].include?(node[0])

          receiver, name, own = parts(node)
          arguments ||= own
          object = @scope.object(receiver)
          if object || @wanted[name] || named?(receiver)
            @facts.calls << Facts::Call.new(Shape.of(receiver), name, Shape.arguments(arguments), block, owner, @nesting, line_of(node), object)
          end
          guard([Shape.key(arguments)]) if GUARDS.key?(name)
          look_for_keys(receiver, name, arguments, node)
          hand_over(name, arguments) if receiver.nil? && arguments
          walk(receiver)
          walk(arguments)
        end

        def hand_over(name, arguments)
          Shape.arguments(arguments).each_with_index { |argument, place| @handed[[owner, name, place]] = true if @scope.hands_over?(argument) }
        end

        def named?(receiver)
          receiver && (receiver[0] == :var_ref ? receiver[1][0] == :@const : NAMED.key?(receiver[0]))
        end

        def parts(node)
          case node[0]
          when :call then [node[1], node[3] == :call ? "call" : Shape.name(node[3]), nil]
          when :command_call then [node[1], Shape.name(node[3]), node[4]]
          when :command then [nil, Shape.name(node[1]), node[2]]
          else [nil, Shape.name(node[1]), nil]
          end
        end

        def line_of(node)
          named = node[0] == :call || node[0] == :command_call ? node[3] : node[1]
          (named.is_a?(Array) && Shape.line(named)) || Shape.line(node)
        end

        def block(node)
          inner = node[1]
          inner[0] == :method_add_arg ? call(inner[1], inner[2], true) : call(inner, nil, true)
          @scope.inputs(inner).each { |key| note_read(key, Shape.line(inner)) }
          @conditions += 1 # the block may be the body of a class without a name
          @scope.block(Shape.of(inner)&.last, node[2]) { walk(node[2]) }
        ensure
          @conditions -= 1
        end

        def look_for_keys(receiver, name, arguments, node)
          return unless Scope.keyed?(name)

          shape = Shape.of(receiver)
          if Scope::READS.key?(name) && (key = Shape.key(arguments))
            note_read(key, line_of(node)) if @scope.context?(shape) || name.start_with?("get_")
          elsif @scope.writes?(shape, name)
            note_write(shape, @scope.key_of(shape) || Shape.key(arguments), line_of(node), false)
          end
        end

        def read_key(node)
          shape = Shape.of(node)
          note_read(shape[2], Shape.line(node)) if shape[2] && @scope.context?(shape[1])
          children(node)
        end

        def note_read(key, line) = @facts.reads << Facts::Read.new(owner, key, line)

        # A write to a parameter counts if the file hands task.context over there.
        def note_write(shape, key, line, own)
          write = Facts::Write.new(owner, key, line, own)
          return @facts.writes << write if @scope.context?(shape)

          place = @scope.parameter(shape)
          @lent << [[owner, @scope.name, place], write] if place
        end

        def assign(node)
          target, value = node[0] == :assign ? [node[1], node[2]] : [node[1], node[3]]
          before = @facts.reads.size
          walk(value)
          assigned(target, value, node[0] == :opassign, @facts.reads[before..])
        end

        def massign(node)
          Array(node[1]).each { |target| target.is_a?(Array) ? assigned(target, nil, false, []) : next }
          walk(node[2])
        end

        def assigned(target, value, operator, read)
          return unless target.is_a?(Array)

          case target[0]
          when :aref_field
            shape = Shape.of(target)
            key = @scope.key_of(shape)
            note_write(shape[1], key, Shape.line(target), operator || read.any? { |r| r.key == key })
            children(target)
          when :field then call([:call, target[1], target[2], setter(target[3])], nil, false)
          when :var_field then @scope.assign(target[1], Shape.of(value)) { |name| @facts.definitions << constant_definition(name, target) }
          else children(target)
          end
        end

        def setter(name) = [:@ident, "#{Shape.name(name)}=", name.is_a?(Array) ? name[2] : nil]

        def constant_definition(name, target)
          Facts::Definition.new(owner.empty? ? name : "#{owner}::#{name}", :constant, Shape.line(target))
        end

        def binary(node)
          return children(node) unless node[2] == :<<

          shape = Shape.of(node[1])
          note_write(shape, @scope.key_of(shape), Shape.line(node), false) if shape && shape[0] == :index
          children(node)
        end

        # What the file asks for may be missing. The part below __FILE__ == $0 does not run.
        def condition(node)
          @conditions += 1
          test = node[1]
          own = test.is_a?(Array) && test[0] == :binary && test[1].is_a?(Array) && test[1][1].is_a?(Array) && test[1][1].first(2) == OWN_FILE
          own ? walk(node[3]) : children(node)
        ensure
          @conditions -= 1
        end

        # A body that rescues NameError expects one.
        def body(node)
          before = [@facts.constants.size, @facts.calls.size]
          children(node)
          return unless node[2].is_a?(Array) && rescues(node[2]).intersect?(%w[NameError NoMethodError LoadError])

          @facts.constants.slice!(before[0]..)
          @facts.calls.slice!(before[1]..)
        end

        def rescues(node)
          return [] unless node.is_a?(Array)
          return [Shape.path(node)&.last].compact if node[0] == :var_ref
          return node.flat_map { |child| rescues(child) } unless node[0] == :rescue

          rescues(node[1]) + rescues(node[4])
        end

        def guard(names)
          names.compact.each { |name| @facts.guarded[name.to_s] = true }
        end
      end
    end
  end
end
