# frozen_string_literal: true

module Tasker
  # The name of a kind of annotation, with a description.
  #
  # @example
  #   Tasker::AnnotationType.find_or_create_by!(name: "large order") { |type| type.description = "above 1000" }
  class AnnotationType
    include Annotations::Row
    extend Annotations::Row::ClassMethods

    # @return [Integer, nil] nil until it is stored
    attr_reader :annotation_type_id
    alias id annotation_type_id
    # @return [String]
    attr_reader :name
    # @return [String, nil]
    attr_accessor :description
    # @return [Time, nil]
    attr_reader :created_at
    alias updated_at created_at

    class << self
      # @api private
      def columns = %i[annotation_type_id name description]

      # Finds the type of this name, or stores it. Of two steps that store the same name at
      # once, one waits for the other's commit.
      #
      # @param name [String, Symbol]
      # @param description [String, nil]
      # @yieldparam type [AnnotationType] before it is stored
      # @return [AnnotationType]
      # @raise [ArgumentError] when the name is empty
      def find_or_create_by!(name:, description: nil)
        name = name.to_s
        found = find_by(name: name)
        return found if found

        made = new(name: name, description: description)
        yield made if block_given?
        made.insert
        find_by!(name: name)
      end
      alias find_or_create_by find_or_create_by!

      # @param name [String, Symbol]
      # @param description [String, nil]
      # @yieldparam type [AnnotationType] before it is stored
      # @return [AnnotationType]
      # @raise [SQLError] when there is one of this name
      def create!(name:, description: nil)
        made = new(name: name, description: description)
        yield made if block_given?
        made.insert(unless_there: false)
        find_by!(name: made.name)
      end
      alias create create!

      private

      def rows(rest, params)
        Tasker.db.exec("select r.annotation_type_id, r.name, r.description, r.created_at from tasker.annotation_types r #{rest}", params)
              .map { |row| new(**row.transform_keys(&:to_sym)) }
      end
    end

    # @api private
    def initialize(name:, description: nil, annotation_type_id: nil, created_at: nil)
      @name = name.to_s
      raise ArgumentError, "the name of an annotation type is empty" if @name.strip.empty?

      @description = description
      @annotation_type_id = annotation_type_id
      @created_at = created_at
    end

    # @api private
    # @return [nil]
    def insert(unless_there: true)
      Tasker.db.exec("insert into tasker.annotation_types (name, description, created_at) values ($1, $2, now())" \
                     "#{" on conflict do nothing" if unless_there}", [name, description])
      nil
    end

    def inspect = "#<#{self.class} #{annotation_type_id} #{name}>"
  end
end
