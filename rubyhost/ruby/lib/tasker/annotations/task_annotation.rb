# frozen_string_literal: true

module Tasker
  # Something that is written about a task: JSON, of a type. Inside a step it commits with
  # the step. It goes with its task.
  #
  # @example
  #   Tasker::TaskAnnotation.create!(task: task, annotation_type: type, annotation: { total: 1200 })
  class TaskAnnotation
    include Annotations::Row
    extend Annotations::Row::ClassMethods

    # @return [Integer]
    attr_reader :task_annotation_id
    alias id task_annotation_id
    # @return [Integer]
    attr_reader :task_id
    # @return [AnnotationType]
    attr_reader :annotation_type
    # @return [Object] as JSON has it, with String keys
    attr_reader :annotation
    # @return [Time]
    attr_reader :created_at
    alias updated_at created_at

    class << self
      # @api private
      def columns = %i[task_annotation_id task_id annotation_type_id]

      # {.create}, for a task that has to be there.
      #
      # @param facts [Hash] as for {.create}
      # @return [TaskAnnotation]
      # @raise [ArgumentError, SQLError]
      # @raise [Error] when there is no such task
      def create!(**facts)
        create(**facts) { |task_id| raise Tasker::Error, "there is no task #{task_id} in this database to annotate" }
      end

      # Writes an annotation. Where the database does not have the task it only warns, so a
      # recorded step can be repeated anywhere.
      #
      # @param task [Task, nil] it, or its task_id:
      # @param task_id [Integer, nil]
      # @param annotation_type [AnnotationType, String, Symbol, nil] it, or its
      #   annotation_type_id:; a name is that of a type, which is stored if need be
      # @param annotation_type_id [Integer, nil]
      # @param annotation [Object] what JSON can hold
      # @param content [Object] the same
      # @yieldparam task_id [Integer] when the database does not have it
      # @return [TaskAnnotation, nil]
      # @raise [ArgumentError, SQLError]
      # @raise [UnrepresentableError] when JSON cannot hold it; in a step, it is not tried again
      def create(annotation: {}, task: nil, task_id: nil, annotation_type: nil, annotation_type_id: nil, content: nil)
        task_id ||= task&.task_id
        raise ArgumentError, "an annotation needs task: or task_id:" if task_id.nil?

        type = type_of(annotation_type, annotation_type_id)
        text = json(content.nil? ? annotation : content)
        row = insert(task_id, type, text)
        return find(row["task_annotation_id"]) if row

        yield task_id if block_given?
        Tasker.logger.warn("there is no task #{task_id} in this database, so this annotation is not kept: #{text[0, 200]}")
        nil
      end

      private

      def json(annotation)
        RubyVersions.generate_json(annotation, max_nesting: Document::MAX_NESTING)
      rescue JSON::JSONError, EncodingError => e
        raise UnrepresentableError.new("JSON cannot hold the annotation: #{e.message}", path: "annotation", error_code: "UNREPRESENTABLE_ANNOTATION")
      end

      def insert(task_id, type, text)
        Tasker.db.first("insert into tasker.task_annotations (task_id, annotation_type_id, annotation, created_at) " \
                        "select task_id, $2, $3::text::json, now() from tasker.tasks where task_id = $1 returning task_annotation_id",
                        [task_id, type, text])
      end

      def type_of(type, id)
        type = AnnotationType.find_or_create_by!(name: type) if type.is_a?(String) || type.is_a?(Symbol)
        type&.annotation_type_id || id || raise(ArgumentError, "an annotation needs annotation_type: or annotation_type_id:")
      end

      def rows(rest, params)
        Tasker.db.exec("select r.task_annotation_id, r.task_id, r.annotation::text as annotation, r.created_at, " \
                       "t.annotation_type_id, t.name, t.description, t.created_at as type_created_at " \
                       "from tasker.task_annotations r join tasker.annotation_types t using (annotation_type_id) #{rest}", params)
              .map { |row| new(row) }
      end
    end

    # @api private
    def initialize(row)
      @task_annotation_id, @task_id, @created_at = row.values_at("task_annotation_id", "task_id", "created_at")
      @annotation = Document.parse(row["annotation"])
      @annotation_type = AnnotationType.new(annotation_type_id: row["annotation_type_id"], name: row["name"], description: row["description"],
                                            created_at: row["type_created_at"])
    end

    # @return [Integer]
    def annotation_type_id = annotation_type.annotation_type_id

    # @return [String]
    def annotation_type_name = annotation_type.name

    def inspect = "#<#{self.class} #{task_annotation_id} #{annotation_type_name} of task #{task_id}>"
  end
end
