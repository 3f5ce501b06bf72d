# frozen_string_literal: true

module Tasker
  module Host
    module Memory
      # Names the way from one object to the next, without the objects' own methods.
      module Edges
        CONSTANTS = ::Module.instance_method(:constants)
        CONSTANT = ::Module.instance_method(:const_get)
        CONSTANT_DEFINED = ::Module.instance_method(:const_defined?)
        CONSTANT_PLACE = ::Module.instance_method(:const_source_location)
        AUTOLOAD = ::Module.instance_method(:autoload?)
        CLASS_VARIABLES = ::Module.instance_method(:class_variables)
        CLASS_VARIABLE = ::Module.instance_method(:class_variable_get)
        METHODS = ::Module.instance_method(:instance_methods)
        PRIVATE_METHODS = ::Module.instance_method(:private_instance_methods)
        METHOD = ::Module.instance_method(:instance_method)
        EACH = ::Array.instance_method(:each_index)
        AT = ::Array.instance_method(:at)
        EACH_PAIR = ::Hash.instance_method(:each_pair)
        STRUCT_EACH = ::Struct.instance_method(:each_pair)
        BINDING = ::Proc.instance_method(:binding)
        RECEIVER = ::Method.instance_method(:receiver)

        # A name, and for a constant the place of its definition.
        Edge = Struct.new(:kind, :name, :place)

        class << self
          # @return [Edge]
          def name(from, to)
            of_module(from, to) || of_collection(from, to) || of_variables(from, to) || of_closure(from, to) || Edge.new("reference")
          end

          # The constant of a module that refers to the object. A constant that is left to
          # autoload stays so.
          #
          # @return [Edge, nil]
          def constant(from, to)
            name = constant_names(from).find do |constant|
              AUTOLOAD.bind_call(from, constant, false).nil? && Plain.same?(quietly { CONSTANT.bind_call(from, constant, false) }, to)
            rescue ::NameError
              false
            end
            Edge.new("constant", name.name, place(from, name)) if name
          end

          private

          def of_module(from, to)
            return unless ::Module === from

            constant(from, to) || class_variable(from, to)
          end

          # Module#constants leaves out private ones, so this asks for every Symbol that
          # may be one.
          def constant_names(from)
            listed = CONSTANTS.bind_call(from, false)
            listed | names.select { |name| CONSTANT_DEFINED.bind_call(from, name, false) }
          end

          def names
            @names ||= ::Symbol.all_symbols.select do |symbol|
              symbol.name.match?(/\A[[:upper:]]\w*\z/)
            rescue ::ArgumentError, ::EncodingError # no valid text
              false
            end
          end

          def place(from, name)
            place = CONSTANT_PLACE.bind_call(from, name, false)
            place unless place.nil? || place.empty?
          end

          # Without the warning of a deprecated constant.
          def quietly
            before = ::Warning[:deprecated]
            return yield unless before

            begin
              ::Warning[:deprecated] = false
              yield
            ensure
              ::Warning[:deprecated] = before
            end
          end

          def class_variable(from, to)
            name = CLASS_VARIABLES.bind_call(from, false).find do |variable|
              Plain.same?(CLASS_VARIABLE.bind_call(from, variable), to)
            end
            Edge.new("class_variable", name.name) if name
          end

          def of_collection(from, to)
            case from
            when ::Array then of_array(from, to)
            when ::Hash then of_hash(from, to)
            when ::Struct then of_struct(from, to)
            when ::Thread::Queue then Edge.new("element")
            else Edge.new("element") if Plain.set?(from) && !(::Hash === to)
            end
          end

          def of_array(from, to)
            EACH.bind_call(from) { |index| return Edge.new("element", "[#{index}]") if Plain.same?(AT.bind_call(from, index), to) }
            nil
          end

          def of_hash(from, to)
            EACH_PAIR.bind_call(from) do |key, value|
              return Edge.new("element", "[#{short(key)}]") if Plain.same?(value, to)
              return Edge.new("key", short(key)) if Plain.same?(key, to)
            end
            Edge.new("reference", "default") # its block or its default value
          end

          def short(key)
            Plain.short(Plain.example(key), Plain::EXCERPT)
          end

          def of_struct(from, to)
            STRUCT_EACH.bind_call(from) { |name, value| return Edge.new("element", "[:#{name}]") if Plain.same?(value, to) }
            nil
          end

          def of_variables(from, to)
            name = Plain::IVARS.bind_call(from).find { |variable| Plain.same?(Plain::IVAR.bind_call(from, variable), to) }
            Edge.new("instance_variable", name.name) if name
          end

          def of_closure(from, to)
            case from
            when ::Proc then of_proc(from, to)
            when ::Method then Edge.new("reference", "receiver") if Plain.same?(RECEIVER.bind_call(from), to)
            when ::Module then of_method(from, to) if ::Proc === to
            end
          end

          def of_proc(from, to)
            binding = BINDING.bind_call(from)
            name = binding.local_variables.find { |variable| Plain.same?(binding.local_variable_get(variable), to) }
            name ||= "self" if Plain.same?(binding.receiver, to)
            Edge.new("closure", name&.to_s, Plain::LOCATION.bind_call(from))
          rescue ::ArgumentError # of a Symbol or of a method
            nil
          end

          # A method that was defined by a block.
          def of_method(from, to)
            place = Plain::LOCATION.bind_call(to)
            names = METHODS.bind_call(from, false) + PRIVATE_METHODS.bind_call(from, false)
            name = names.find { |method| METHOD.bind_call(from, method).source_location == place }
            Edge.new("reference", "the method #{name}", place) if name
          end
        end
      end
    end
  end
end
