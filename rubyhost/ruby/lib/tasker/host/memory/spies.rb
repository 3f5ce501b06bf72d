# frozen_string_literal: true

module Tasker
  module Host
    module Memory
      # Notes which lines store into a container. It extends the container by a module
      # whose methods call super. The modules have names, so that Marshal still takes it.
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
        EXTEND = ::Kernel.instance_method(:extend)
        OURS = "#{File.expand_path("../..", __dir__)}/"

        class << self
          # @param containers [Array<Array<Object>>] of each suspect
          # @param folders [Folders] of the handlers
          # @return [void]
          def install(containers, folders)
            @folders = folders
            @seen = Array.new(containers.size) { Hash.new(0) }
            @watched = {}.compare_by_identity
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
          def note(object)
            index = @watched[object] # none of a clone
            frames = index && caller_locations(2, DEPTH)
            return if frames.nil? || frames.empty?

            frame = storing(frames)
            @seen[index][[frame.absolute_path || frame.path, frame.lineno]] += 1
          end

          # @return [Boolean]
          def possible?(object)
            !Plain::FROZEN.bind_call(object) && !kind(object).nil?
          end

          private

          # A handler's line, although a gem's may be nearer: the handler asks the gem to keep it.
          def storing(frames)
            frames.find { |location| @folders.include?(location.absolute_path || location.path) } ||
              frames.find { |location| theirs?(location.absolute_path || location.path) } || frames.first
          end

          def kind(object)
            return ::Set if Plain.set?(object)

            METHODS.each_key.find { |klass| klass === object } # rubocop:disable Style/CaseEquality
          end

          def theirs?(file)
            file && !file.start_with?(OURS) && RUBYS_FILES.none? { |start| file.start_with?(start) }
          end

          def spy(object, index)
            return unless possible?(object)

            @watched[object] ||= index
            EXTEND.bind_call(object, noting(kind(object)))
          end

          # @return [Module] for the containers of the class
          def noting(klass)
            name = :"For#{klass.name.delete(":")}"
            return const_get(name, false) if const_defined?(name, false)

            const_set(name, Module.new.tap { |mod| define(mod, METHODS.fetch(klass, SET).select { |method| klass.method_defined?(method) }) })
          end

          def define(mod, methods)
            methods.each do |method|
              mod.define_method(method) do |*arguments, **options, &block|
                Spies.note(self)
                super(*arguments, **options, &block)
              end
            end
          end
        end
      end
    end
  end
end
