# frozen_string_literal: true

require_relative "helper"

# Annotations without a database: what they ask of Tasker.db. With a database they are tested
# by Go.
class AnnotationsTest < Minitest::Test
  # Keeps the statements, and answers with the rows that it is given.
  class FakeDB < Tasker::DB
    attr_reader :asked

    def initialize(*answers) # rubocop:disable Lint/MissingSuper
      @answers = answers
      @asked = []
    end

    def exec(sql, params = [])
      @asked << [sql, params]
      Rows.new(@answers.shift || [], [], 0)
    end
  end

  TYPE = { "annotation_type_id" => 3, "name" => "paid", "description" => nil, "created_at" => Time.at(0) }.freeze
  ROW = { "task_annotation_id" => 5, "task_id" => 7, "annotation" => '{"a":{"b":1}}', "created_at" => Time.at(1), "annotation_type_id" => 3,
          "name" => "paid", "description" => "d", "type_created_at" => Time.at(0) }.freeze

  def with(*answers)
    Thread.current.thread_variable_set(:tasker_db, FakeDB.new(*answers))
    yield Tasker.db
  ensure
    Thread.current.thread_variable_set(:tasker_db, nil)
  end

  def test_an_annotation_is_written_and_read
    task = Tasker::Testing.sequence(task: { task_id: 7 }).task
    with([TYPE], [{ "task_annotation_id" => 5 }], [ROW]) do |db|
      made = task.annotations.create!(annotation_type: :paid, annotation: { total: 2**70, at: :once })

      assert_equal [5, 7, 3, "paid", "paid", { "a" => { "b" => 1 } }, Time.at(1)],
                   [made.id, made.task_id, made.annotation_type_id, made.annotation_type.name, made.annotation_type_name, made.annotation, made.created_at]
      assert_equal ["paid"], db.asked[0][1]
      assert_equal [7, 3, '{"total":1180591620717411303424,"at":"once"}'], db.asked[1][1]
      assert_equal [5], db.asked[2][1]
    end
    with([ROW], [ROW, ROW], []) do |db|
      assert_equal ["paid"], task.task_annotations.map(&:annotation_type_name)
      assert_equal 2, task.annotations.count
      assert_nil task.annotations.find_by(annotation_type: "paid")
      assert_equal [[7]] * 3, db.asked.map(&:last)
    end
  end

  def test_a_type_is_found_or_made
    with([TYPE]) { |db| assert_equal [3, 1], [Tasker::AnnotationType.find_or_create_by!(name: "paid") { raise "it is there" }.id, db.asked.size] }
    with([], [], [TYPE]) do |db|
      Tasker::AnnotationType.find_or_create_by!(name: "paid") { |type| type.description = "by card" }
      assert_match(/insert into tasker.annotation_types .* on conflict do nothing/, db.asked[1][0])
      assert_equal ["paid", "by card"], db.asked[1][1]
    end
  end

  def test_a_task_that_is_not_there
    with([], []) do
      text = logged { assert_nil Tasker::TaskAnnotation.create(task_id: 7, annotation_type_id: 3, annotation: { a: 1 }) }
      assert_match(/no task 7 in this database, so this annotation is not kept: {"a":1}/, text)
      error = assert_raises(Tasker::Error) { Tasker::TaskAnnotation.create!(task_id: 7, annotation_type_id: 3) }
      assert_match(/no task 7 in this database/, error.message)
    end
  end

  def test_what_is_refused
    with do |db|
      { "an annotation needs task:" => -> { Tasker::TaskAnnotation.create!(annotation_type_id: 1) },
        "an annotation needs annotation_type:" => -> { Tasker::TaskAnnotation.create!(task_id: 1) },
        "has no colour: it has" => -> { Tasker::AnnotationType.where(colour: 1) },
        "name of an annotation type is empty" => -> { Tasker::AnnotationType.create!(name: " ") } }.each do |message, call|
        assert_match(/#{message}/, assert_raises(ArgumentError, &call).message)
      end
      assert_empty db.asked
      assert_match(/no Tasker::AnnotationType with name: "x"/, assert_raises(Tasker::Error) { Tasker::AnnotationType.find_by!(name: "x") }.message)
    end
  end
end
