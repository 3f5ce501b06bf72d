# frozen_string_literal: true

module Tasker
  module Host
    module Memory
      # Variables of classes and modules whose collection gets larger because each task
      # puts a larger one in its place: `@ids += [id]`.
      module Slots
        CLASS_VARIABLES = ::Module.instance_method(:class_variables)
        CLASS_VARIABLE = ::Module.instance_method(:class_variable_get)

        class << self
          # @return [Hash{Integer => Hash{Symbol => Integer}}] elements by the module's object
          #   id and the variable's name
          def sizes
            sizes = Hash.new { |all, id| all[id] = {} }
            each { |id, name, _, size| sizes[id][name] = size }
            sizes
          end

          # @yieldparam id [Integer] of the module
          # @yieldparam name [Symbol]
          # @yieldparam object [Object] an Array, a Hash, a Set
          # @yieldparam size [Integer]
          def each
            ::ObjectSpace.each_object(::Module) do |mod|
              next if Memory.equal?(mod)

              collections(mod) { |name, object, size| yield Plain.id(mod), name, object, size }
            end
          end

          private

          def collections(mod)
            Plain::IVARS.bind_call(mod).each do |name|
              object = Plain::IVAR.bind_call(mod, name)
              size = Plain.size(object)
              yield name, object, size if size
            end
            CLASS_VARIABLES.bind_call(mod, false).each do |name|
              object = CLASS_VARIABLE.bind_call(mod, name)
              size = Plain.size(object)
              yield name, object, size if size
            end
          end
        end
      end
    end
  end
end
