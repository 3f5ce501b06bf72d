# frozen_string_literal: true

module Tasker
  module Testing
    module Clock
      # How far the clock of tests is ahead of what Ruby says without it.
      #
      # Another library may say another time than the computer: Timecop, a double. What
      # it is told to say is what is to be seen, so each such time begins without an
      # offset. When it says nothing any more, the offset from before counts again.
      #
      # @api private
      class Offsets
        # Microseconds by which two readings of the same time may differ.
        SAME = 1000
        private_constant :SAME

        def initialize
          @real = 0
          @told = 0
          @read = nil
        end

        # @param read [Integer] what Time.now says, in microseconds since 1970
        # @param before [Integer] what the computer's clock said before that
        # @param after [Integer] and after it
        # @return [Integer] microseconds
        def at(read, before, after)
          @now_told = read < before || read > after
          unless @now_told
            @read = nil
            return @real
          end

          drift = (read - after)..(read - before)
          @told = 0 unless same?(read, drift)
          @read = read
          @drift = drift
          @told
        end

        # Adds to the offset of the last reading.
        #
        # @param micro [Integer] microseconds
        # @return [nil]
        def add(micro)
          @now_told ? @told += micro : @real += micro
          nil
        end

        private

        # A time that is told stands still, or goes on with the computer's.
        def same?(read, drift)
          return false if @read.nil?

          (read - @read).abs <= SAME || (drift.begin <= @drift.end + SAME && drift.end >= @drift.begin - SAME)
        end
      end
    end
  end
end
