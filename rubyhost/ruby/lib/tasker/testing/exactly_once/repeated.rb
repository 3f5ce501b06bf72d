# frozen_string_literal: true

module Tasker
  module Testing
    module ExactlyOnce
      # Finds effects outside the database that a crash has caused to happen twice.
      #
      # @api private
      module Repeated
        class << self
          # @param trace [Array<Hash>] of a run with a crash
          # @param point [Point] of the crash
          # @param allowed [Array<String>] kinds of effects
          # @return [Array<String>] a line for each effect
          def in(trace, point, allowed)
            effects = trace.select { |entry| entry["kind"] == "effect" && entry["step"] == point.step && !allowed.include?(entry["effect"]) }
            lost, again = effects.partition { |effect| effect["attempt"] <= point.attempt }
            lost = lost.select { |effect| effect["attempt"] == point.attempt }
            lost.filter_map do |effect|
              twin = again.find { |other| same?(effect, other) } or next
              again.delete_at(again.index { |other| other.equal?(twin) })
              line(effect, twin) unless effect["key"] && effect["key"] == twin["key"]
            end
          end

          private

          # A detail may have something random in it. Then the place tells.
          def same?(effect, other)
            effect["effect"] == other["effect"] && (effect["detail"] == other["detail"] || effect["place"] == other["place"])
          end

          def line(effect, twin)
            keys = [effect, twin].map { |entry| entry["key"] || "none" }
            why = effect["key"] || twin["key"] ? "with different idempotency keys, #{keys.join(" and ")}" : "without an idempotency key"
            "#{effect["step"]} did this in attempt #{effect["attempt"]} and again in attempt #{twin["attempt"]}, #{why}: " \
              "#{effect["effect"]} #{effect["detail"]} (#{effect["place"]})"
          end
        end
      end
    end
  end
end
