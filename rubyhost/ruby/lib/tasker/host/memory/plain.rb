# frozen_string_literal: true

module Tasker
  module Host
    module Memory
      # Asks objects without their own methods: a handler's class may override class,
      # hash, == and inspect, or be a BasicObject.
      module Plain
        # Ours are no suspects.
        OWN_FILES = "#{File.expand_path(__dir__)}/"
        OWN_FILE = "#{File.expand_path(__dir__)}.rb"

        CLASS = ::Kernel.instance_method(:class)
        SINGLETON = ::Kernel.instance_method(:singleton_class)
        ID = ::Kernel.instance_method(:object_id)
        FROZEN = ::Kernel.instance_method(:frozen?)
        IVARS = ::Kernel.instance_method(:instance_variables)
        IVAR = ::Kernel.instance_method(:instance_variable_get)
        EQUAL = ::BasicObject.instance_method(:equal?)
        NAME = ::Module.instance_method(:name)
        SUPERCLASS = ::Class.instance_method(:superclass)
        LOCATION = ::Proc.instance_method(:source_location)
        ARRAY_SIZE = ::Array.instance_method(:size)
        HASH_SIZE = ::Hash.instance_method(:size)
        QUEUE_SIZE = ::Thread::Queue.instance_method(:size)
        BYTES = ::String.instance_method(:bytesize)
        SLICE = ::String.instance_method(:byteslice)
        PLAIN_INSPECT = ::String.instance_method(:inspect)

        CODE = 120
        EXAMPLE = 60
        EXCERPT = 40

        @code = {}

        class << self
          def own_file?(file)
            file.start_with?(OWN_FILES) || file == OWN_FILE
          end

          def class_of(object) = CLASS.bind_call(object)

          def id(object) = ID.bind_call(object)

          def same?(one, other) = EQUAL.bind_call(one, other)

          # @return [String]
          def class_name(klass)
            name = NAME.bind_call(klass)
            return name if name
            return "a module without a name" unless ::Class === klass

            above = SUPERCLASS.bind_call(klass)
            above = SUPERCLASS.bind_call(above) while above && NAME.bind_call(above).nil?
            "a class without a name, below #{above ? NAME.bind_call(above) : "BasicObject"}"
          rescue ::TypeError # a Class that was allocated, and not initialized
            "a class without a name"
          end

          # @return [Boolean] also without the set library, which Ruby 3.1 does not load
          def set?(object)
            defined?(::Set) && ::Set === object
          end

          # @return [Integer, nil] how many elements it has, if it is a container
          def size(object)
            case object
            when ::Array then ARRAY_SIZE.bind_call(object)
            when ::Hash then HASH_SIZE.bind_call(object)
            when ::Thread::Queue then QUEUE_SIZE.bind_call(object)
            else set_size(object) if set?(object)
            end
          rescue ::TypeError # a Queue that was allocated, and not initialized
            nil
          end

          # @return [Hash, nil] inside a Set, until that became a class of the core
          def set_hash(set)
            hash = IVAR.bind_call(set, :@hash)
            hash if ::Hash === hash
          end

          # @return [Hash, nil] the JSON of a line
          def line(file, number)
            return unless ::String === file && number # a constant of C, or from an autoload, has another place

            code = code(file, number)
            code ? { file: file, line: number, code: code } : { file: file, line: number }
          end

          # Where the object was allocated. A Proc belongs to the line of its block: a
          # library that takes blocks makes the Proc.
          #
          # @return [Array(String, Integer), nil]
          def place(object)
            return LOCATION.bind_call(object) || allocation(object) if ::Proc === object

            allocation(object)
          end

          # A short description of the object.
          #
          # @return [String]
          def example(object)
            short(describe(object), EXAMPLE)
          end

          # @return [String]
          def short(text, limit)
            text.size > limit ? "#{text[0, limit - 1]}…" : text
          end

          private

          def set_size(set)
            hash = set_hash(set)
            return HASH_SIZE.bind_call(hash) if hash

            ::Set.instance_method(:size).bind_call(set)
          rescue ::NoMethodError # a Set that was allocated, and not initialized
            nil
          end

          def allocation(object)
            file = ::ObjectSpace.allocation_sourcefile(object)
            file && [file, ::ObjectSpace.allocation_sourceline(object)]
          end

          def describe(object)
            case object
            when ::String then excerpt(object)
            when ::Symbol, ::Integer, ::Float, nil, true, false then object.inspect
            when ::Array then "#{class_name(class_of(object))} of #{size(object)}"
            when ::Hash then "#{class_name(class_of(object))} of #{size(object)}"
            when ::Proc then "Proc of #{LOCATION.bind_call(object)&.join(":")}"
            when ::Module then class_name(object)
            else size(object) ? "#{class_name(class_of(object))} of #{size(object)}" : class_name(class_of(object))
            end
          end

          def excerpt(string)
            all = BYTES.bind_call(string)
            text = ::String.new(SLICE.bind_call(string, 0, EXCERPT)).force_encoding(::Encoding::UTF_8).scrub("?")
            all > EXCERPT ? "#{text.inspect}… (#{all} bytes)" : text.inspect
          end

          def code(file, number)
            lines = @code.fetch(file) { @code[file] = read(file) }
            text = lines && lines[number - 1]
            return if text.nil? || text.strip.empty?

            short(text.strip, CODE)
          end

          def read(file)
            return unless ::File.file?(file)

            ::File.read(file, encoding: "UTF-8").scrub("?").lines
          rescue ::SystemCallError
            nil
          end
        end
      end
    end
  end
end
