# frozen_string_literal: true

module Tasker
  module Host
    module Survey
      # Methods that two files define for the same class. The file that is loaded last wins,
      # which is seldom meant: the files are two versions of one class, or two classes
      # that need names of their own.
      module Doubles
        class << self
          # @param all [Array<Facts>] of every file
          # @return [Array<Problem>]
          def look(all)
            places = Hash.new { |hash, key| hash[key] = [] } # [owner, name] => [[facts, line]]
            all.each do |facts|
              facts.methods.select(&:sure).uniq { |m| [m.owner, m.name] }.each { |m| places[[m.owner, m.name]] << [facts, m.line] }
            end
            clashes = places.select { |_, found| found.size > 1 }
            clashes.flat_map { |(owner, name), found| pairs(owner, name, found) }.group_by(&:first).map { |key, group| problem(*key, group) }
          end

          private

          def pairs(owner, name, found)
            (first, at), *others = found
            others.map { |facts, line| [[owner, facts, first], name, line, first.at(at)] }
          end

          def problem(owner, facts, first, group)
            _, name, line, place = group.first
            also = group.size > 1 ? " and #{group.size - 1} more" : ""
            if owner.empty?
              return Problem.warning(facts.file, line, "the method #{name} is defined at #{place} too, for all objects#{also}; the file that is loaded last wins",
                                     "Put it into a class or module.")
            end
            line = facts.definitions.find { |d| d.name == owner }&.line || line
            where = first.definitions.find { |d| d.name == owner }&.line
            Problem.warning(facts.file, line, "#{owner} is defined #{where ? "at #{first.at(where)}" : "in #{first.file}"} too, and both define " \
                                              "#{name.start_with?(".") ? "self#{name}" : name} (#{place})#{also}; the file that is loaded last wins",
                            "Give each class a name of its own, or take one of the files out.")
          end
        end
      end
    end
  end
end
