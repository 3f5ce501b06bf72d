# frozen_string_literal: true

module Tasker
  module Host
    module Memory
      # Notes which lines store into a container. It defines singleton methods, by a
      # module in front of them that calls super. So a container cannot be given to
      # Marshal from then on.
      module Spies
        METHODS = {
          ::Array => %i[<< push append unshift prepend insert concat []= fill replace],
          ::Hash => %i[[]= store merge! update replace],
          ::String => %i[<< concat insert prepend replace []= append_as_bytes],
          ::Thread::Queue => %i[<< push enq],
          ::Thread => %i[[]= thread_variable_set]
        }.freeze
        SET = %i[add << add? merge].freeze
        # Containers of one suspect.
        MOST = 20
        # Lines that are looked at above a store.
        DEPTH = 40

        RUBYS_FILES = [RbConfig::CONFIG["rubylibdir"], "<internal:"].compact.freeze
        DEFINED = ::Module.instance_method(:method_defined?)
        OURS = "#{File.expand_path("../..", __dir__)}/"

        class << self
          # @param containers [Array<Array<Object>>] of each suspect
          # @return [void]
          def install(containers)
            @seen = Array.new(containers.size) { Hash.new(0) }
            containers.each_with_index do |objects, index|
              objects.first(MOST).each { |object| spy(object, index) }
            end
          end

          # @return [Hash{String => Hash}]
          def lines
            found = {}
            @seen.map(&:dup).each_with_index do |counts, index|
              place, = counts.max_by { |_, count| count }
              line = place && Plain.line(*place)
              found[index.to_s] = line if line
            end
            found
          end

          # @!visibility private
          def note(index)
            frames = caller_locations(2, DEPTH)
            return if frames.nil? || frames.empty?

            frame = frames.find { |location| theirs?(location.absolute_path || location.path) } || frames.first
            place = [frame.absolute_path || frame.path, frame.lineno]
            @seen[index][place] += 1
          end

          # @return [Boolean]
          def possible?(object)
            !Plain::FROZEN.bind_call(object) && !methods_of(object).nil?
          end

          private

          def methods_of(object)
            return SET if Plain.set?(object)

            METHODS.find { |klass, _| klass === object }&.last # rubocop:disable Style/CaseEquality
          end

          def theirs?(file)
            file && !file.start_with?(OURS) && RUBYS_FILES.none? { |start| file.start_with?(start) }
          end

          def spy(object, index)
            return unless possible?(object)

            klass = Plain.class_of(object)
            names = methods_of(object).select { |name| DEFINED.bind_call(klass, name) }
            Plain::SINGLETON.bind_call(object).prepend(noting(index, names))
          end

          def noting(index, names)
            Module.new do
              names.each do |name|
                define_method(name) do |*arguments, **options, &block|
                  Spies.note(index)
                  super(*arguments, **options, &block)
                end
              end
            end
          end
        end
      end
    end
  end
end
