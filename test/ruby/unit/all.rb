# frozen_string_literal: true

# Runs them all: ruby -w -Irubyhost/ruby/lib test/ruby/unit/all.rb
Dir[File.join(__dir__, "*_test.rb")].sort.each { |file| require file }
