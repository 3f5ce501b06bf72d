# frozen_string_literal: true

module Tasker
  class Annotations
    # What the rows of annotations and of their types share. A row is an object that is
    # read once. Reading and writing go through {Tasker.db}: inside a step they are part of
    # its transaction, and commit or roll back with it.
    module Row
      # The methods of the classes.
      module ClassMethods
        # @param conditions [Hash{Symbol => Object}]
        # @return [Array] all rows that have these values, oldest first
        def where(**conditions)
          names = conditions.keys.each do |name|
            raise ArgumentError, "#{self} has no #{name}: it has #{columns.join(", ")}" unless columns.include?(name)
          end
          list = names.each_with_index.map { |name, i| "r.#{name} = $#{i + 1}" }
          rows("#{"where #{list.join(" and ")} " if list.any?}order by r.#{columns.first}", conditions.values)
        end

        # @return [Array]
        def all = where

        # @return [Integer]
        def count = all.size

        # @param id [Integer]
        # @return [Object] the row
        # @raise [Error] when there is none
        def find(id) = find_by!(columns.first => id)

        # @param conditions [Hash{Symbol => Object}]
        # @return [Object, nil] the first row that has these values
        def find_by(**conditions) = where(**conditions).first

        # @param conditions [Hash{Symbol => Object}]
        # @return [Object] the same
        # @raise [Error] when there is none
        def find_by!(**conditions)
          find_by(**conditions) || raise(Tasker::Error, "there is no #{name} with #{conditions.map { |n, value| "#{n}: #{value.inspect}" }.join(", ")}")
        end
      end

      def ==(other) = equal?(other) || (other.instance_of?(self.class) && !id.nil? && other.id == id)
      alias eql? ==

      def hash = [self.class, id].hash
    end
  end
end
