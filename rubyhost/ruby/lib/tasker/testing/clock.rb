# frozen_string_literal: true

require "date"
require_relative "clock/offsets"

module Tasker
  module Testing
    # The clock of this process, as handlers and examples see it. The engine's clock
    # jumps over the waits of tasks, and this one follows.
    #
    # It adds to what the methods below return otherwise. So it goes together with
    # Timecop, ActiveSupport's helpers and doubles, in any order of loading.
    #
    # @api private
    module Clock
      # Microseconds in a second.
      MICRO = 1_000_000
      # The units of Process.clock_gettime, in parts of a second.
      UNITS = { second: 1, millisecond: 1000, microsecond: MICRO, nanosecond: 1_000_000_000 }.freeze
      # 1970-01-01 as an astronomical Julian day.
      UNIX_EPOCH = Rational(4_881_175, 2)
      private_constant :UNITS, :UNIX_EPOCH

      # A double of one of the methods goes below the module, and so the clock adds to
      # it. RSpec would put its double above a module that says it has the method.
      module Below
        def method_defined?(*) = false
        alias public_method_defined? method_defined?
      end

      # Prepended to Time's class methods.
      module ForTime
        extend Below

        def now(*given, **options)
          Clock.read(:now, self, given, options, aliased: __callee__ != :now) { super(*given, **options) }
        end

        # Some versions of Ruby's own Time.now call it. What is added to that is up to
        # the caller of Time.now: an alias of it has nothing added.
        def new(*given, **options)
          moves = given.empty? && !caller_locations(1, 1).first&.path&.start_with?("<internal:")
          Clock.read(:new, self, given, options, moves: moves, aliased: __callee__ != :new) { super(*given, **options) }
        end
      end

      # Prepended to Date's class methods.
      module ForDate
        extend Below

        def today(*given)
          Clock.read(:today, self, given, {}, aliased: __callee__ != :today) { super }
        end
      end

      # Prepended to DateTime's class methods.
      module ForDateTime
        extend Below

        def now(*given)
          Clock.read(:date_time, self, given, {}, aliased: __callee__ != :now) { super }
        end
      end

      # Prepended to Process's class methods.
      module ForProcess
        extend Below

        def clock_gettime(clock, *unit)
          today = clock == Process::CLOCK_REALTIME
          Clock.read(:gettime, self, [clock, *unit], {}, moves: today, aliased: __callee__ != :clock_gettime) { super }
        end
      end

      @offsets = Offsets.new
      @fixed = nil
      @lock = Mutex.new

      class << self
        # @return [Integer] microseconds by which this clock is ahead
        def offset
          inside(:offset) { unfixed }
        end

        # @return [Integer, nil] microseconds since 1970, while the clock stands still
        attr_reader :fixed

        # @return [Integer] microseconds since 1970
        def now
          micro(Time.now)
        end

        # @return [Integer] microseconds since 1970, of the computer's own clock
        def real
          @natives[:gettime].bind_call(Process, Process::CLOCK_REALTIME, :microsecond)
        end

        # @param time [Time]
        # @return [Integer] microseconds since 1970
        def micro(time)
          (time.to_r * MICRO).floor
        end

        # Sets the clock ahead, when it is not there yet.
        #
        # @param now [Integer] microseconds since 1970
        # @return [nil]
        def follow(now)
          @lock.synchronize do
            ahead = now - self.now
            add(ahead) if ahead.positive?
          end
          nil
        end

        # Sets the clock, ahead or back.
        #
        # @param now [Integer] microseconds since 1970
        # @return [nil]
        def set(now)
          @lock.synchronize { add(now - self.now) }
          nil
        end

        # @return [nil]
        def reset
          @lock.synchronize do
            @offsets = Offsets.new
            @fixed = nil
          end
          nil
        end

        # Has the clock stand still while the block runs, but for what it is set to and
        # what is slept. Then two runs of a task read the same times.
        #
        # @return [Object] what the block returns
        def stand
          @lock.synchronize { @fixed = now }
          yield
        ensure
          @lock.synchronize do
            stood = @fixed
            @fixed = nil
            add(stood - now)
          end
        end

        # @param seconds [Numeric] that were slept
        # @return [nil]
        def slept(seconds)
          @lock.synchronize { add((seconds * MICRO).round) if @fixed }
          nil
        end

        # Not by to_time, of which ActiveSupport 8 warns.
        #
        # @param read [Time, DateTime]
        # @return [Rational] since 1970
        def seconds(read)
          read.is_a?(Time) ? read.to_r : (read.ajd - UNIX_EPOCH) * 86_400
        end

        # To be called once the libraries that change Time are loaded, because some of
        # them make aliases of its methods.
        #
        # @return [nil]
        def install
          return if @natives

          @natives = {
            now: Time.singleton_class.instance_method(:now), new: Time.singleton_class.instance_method(:new),
            today: Date.singleton_class.instance_method(:today), date_time: DateTime.singleton_class.instance_method(:now),
            gettime: Process.singleton_class.instance_method(:clock_gettime)
          }
          Time.singleton_class.prepend(ForTime)
          Date.singleton_class.prepend(ForDate)
          DateTime.singleton_class.prepend(ForDateTime)
          Process.singleton_class.prepend(ForProcess)
          nil
        end

        # Reads a clock, and adds the offset to what its caller sees.
        #
        # What another library has put below may come back here through another method,
        # which then adds nothing. Or it comes through an alias of this one that it has
        # made: that reads the clock as it was before.
        #
        # @!visibility private
        # @param moves [Boolean] whether the answer is of now, and of the clock of all days
        # @param aliased [Boolean] whether the caller asks for the clock without itself
        def read(method, receiver, given, options, moves: true, aliased: false)
          called = Thread.current[:tasker_clock]
          return @natives.fetch(method).bind_call(receiver, *given, **options) if aliased || called&.include?(method)

          inside(method) do
            before = real
            value = yield
            next value unless moves && called.nil?

            offset = method == :now ? @offsets.at(micro(value), before, real) : unfixed
            shifted(method, value, given, @fixed, offset)
          end
        end

        private

        # While the block runs, the clocks on this thread have nothing added.
        def inside(method)
          called = Thread.current[:tasker_clock]
          Thread.current[:tasker_clock] = [*called, method]
          yield
        ensure
          Thread.current[:tasker_clock] = called
        end

        def add(micro)
          @fixed ? @fixed += micro : @offsets.add(micro)
        end

        # To be called inside another clock than Time.now.
        #
        # @return [Integer] microseconds that are added to a time that goes on
        def unfixed
          before = real
          read = micro(Time.now)
          @offsets.at(read, before, real)
        end

        def shifted(method, value, given, fixed, offset)
          return value if fixed.nil? && offset.zero?

          case method
          when :now, :new then value + ahead(fixed, offset, value)
          when :date_time then value + (ahead(fixed, offset, value) / 86_400)
          when :today then date(value, fixed, offset, *given)
          else fixed ? ticks(value, 0, fixed, given[1]) : ticks(value, value, offset, given[1])
          end
        end

        # @return [Rational] seconds between what was read and what is to be seen
        def ahead(fixed, offset, read)
          fixed ? Rational(fixed, MICRO) - seconds(read) : Rational(offset, MICRO)
        end

        # A date has no time of day, and the shift may pass midnight.
        def date(value, fixed, offset, start = Date::ITALY)
          time = Time.now
          shifted = (time + ahead(fixed, offset, time)).to_date.new_start(start)
          value == time.to_date ? shifted : value + (shifted - time.to_date).to_i
        end

        def ticks(read, from, micro, unit)
          parts = UNITS.fetch(unit.to_s.delete_prefix("float_").to_sym, 1)
          read.is_a?(Integer) ? from + (micro * parts / MICRO) : from + (micro * parts / MICRO.to_f)
        end
      end
    end
  end
end
