# frozen_string_literal: true

require_relative "helper"

class ContextTest < Minitest::Test
  def setup
    @context = Tasker::Document.parse_indifferent(
      '{"order_id": 7, "customer": {"email": "a@b.c", "tags": [{"k": 1}, [{"deep": 2}]]}, "none": null}'
    )
  end

  def test_it_answers_to_strings_and_symbols_at_every_depth
    assert_equal 7, @context["order_id"]
    assert_equal 7, @context[:order_id]
    assert_equal "a@b.c", @context[:customer]["email"]
    assert_equal 1, @context.dig(:customer, :tags, 0, :k)
    assert_equal 2, @context["customer"][:tags][1][0][:deep]
    assert_nil @context[:absent]
    assert_nil @context.dig(:absent, :more)
  end

  def test_it_is_a_hash_with_string_keys
    assert_kind_of Hash, @context
    assert_equal %w[order_id customer none], @context.keys
    assert_equal({ "a" => 1 }, Tasker::Context.new(a: 1))
    assert_equal '{"a":{"b":1}}', JSON.generate(Tasker::Context.new(a: { b: 1 }))
  end

  def test_fetch_and_its_kin
    assert_equal 7, @context.fetch(:order_id)
    assert_equal 1, @context.fetch(:absent, 1)
    assert_equal "absent", @context.fetch(:absent) { |key| key }
    assert_raises(KeyError) { @context.fetch(:absent) }
    assert_equal [7, nil], @context.values_at(:order_id, "absent")
    assert_equal [7], @context.fetch_values(:order_id)
    assert_equal ["order_id", 7], @context.assoc(:order_id)
  end

  def test_keys_are_found_either_way
    %i[key? has_key? include? member?].each do |question|
      assert @context.public_send(question, :none), question
      assert @context.public_send(question, "none"), question
      refute @context.public_send(question, :absent), question
    end
  end

  def test_writing_turns_symbols_into_strings_and_hashes_into_contexts
    @context[:added] = { list: [{ x: 1 }], matrix: [[{ y: 2 }]] }
    @context.store(:stored, 3)

    assert_equal 1, @context["added"]["list"][0]["x"]
    assert_equal 2, @context[:added][:matrix][0][0][:y]
    assert_equal 3, @context["stored"]
    assert_equal 7, @context.delete(:order_id)
    refute @context.key?("order_id")
  end

  def test_writing_leaves_the_given_value_alone
    given = { a: [{ b: 1 }] }
    @context[:given] = given

    assert_equal({ a: [{ b: 1 }] }, given)
    assert_instance_of Hash, given[:a][0]
  end

  def test_merging
    merged = @context.merge({ order_id: 8 }, { extra: { deep: 1 } })

    assert_instance_of Tasker::Context, merged
    assert_equal 8, merged["order_id"]
    assert_equal 1, merged[:extra][:deep]
    assert_equal 7, @context[:order_id]
    assert_equal 15, @context.merge(order_id: 8) { |_, ours, theirs| ours + theirs }[:order_id]
    assert_same @context, @context.merge!(order_id: 9)
    assert_equal({ "only" => 1 }, @context.dup.replace(only: 1))
  end

  def test_what_is_made_from_it_is_indifferent_too
    assert_equal 7, @context.slice(:order_id)[:order_id]
    refute @context.except(:order_id).key?(:order_id)
    assert_equal 7, @context.select { |key, _| key == "order_id" }[:order_id]
    assert_equal 7, @context.reject { |key, _| key == "none" }[:order_id]
    assert_equal 7, @context.compact[:order_id]
    assert_equal 7, @context.transform_values { |value| value }[:order_id]
    assert_equal 7, @context.dup[:order_id]
    assert_same @context, @context.with_indifferent_access
  end

  def test_plain_copies
    hash = @context.to_h

    assert_instance_of Hash, hash
    assert_instance_of Hash, hash["customer"]["tags"][0]
    assert_instance_of Hash, @context.to_hash["customer"]["tags"][1][0]
    assert_equal({ "order_id" => "7" }, @context.slice(:order_id).to_h { |key, value| [key, value.to_s] })
    assert_equal({ order_id: 7, customer: { email: "a@b.c", tags: [{ k: 1 }, [{ deep: 2 }]] }, none: nil },
                 @context.deep_symbolize_keys)
    assert_equal %i[order_id customer none], @context.symbolize_keys.keys
  end

  def test_double_splat_and_pattern_matching
    assert_equal({ "order_id" => 7, b: 1 }, { **@context.slice(:order_id), b: 1 })

    case @context
    in { order_id: Integer => id, customer: { email: String => email }, **rest }
      assert_equal [7, "a@b.c"], [id, email]
      assert_equal({ "none" => nil }, rest)
    end
  end

  def test_integers_and_floats_are_exact
    big = (2**200) + 1
    parsed = Tasker::Document.parse_indifferent(%({"big": #{big}, "float": 0.1, "tiny": 5e-324}))

    assert_equal big, parsed[:big]
    assert_equal 0.1, parsed[:float]
    assert_equal 5e-324, parsed[:tiny]
  end

  def test_depth
    at_limit = ("[" * 998) + ("]" * 998)

    assert Tasker::Document.parse_indifferent(%({"a": #{at_limit}}))
    assert_raises(JSON::NestingError) { Tasker::Document.parse("#{"[" * 1001}1#{"]" * 1001}") }
  end

  def test_yaml_knows_it_as_a_plain_mapping
    require "yaml"

    assert_equal "---\na:\n  b: 1\n", YAML.dump(Tasker::Context.new(a: { b: 1 }))
  end
end
