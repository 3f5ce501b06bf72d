# frozen_string_literal: true

require_relative "lib/tasker/version"

Gem::Specification.new do |spec|
  spec.name = "tasker-host"
  spec.version = Tasker::VERSION
  spec.summary = "What step handlers of tasker-rb are written against"
  spec.description = "The Ruby API of tasker-rb: base classes, errors, and the task, sequence and step that a handler " \
                     "is given. The host brings its own copy; the gem is for editors and for unit tests of handlers."
  spec.authors = ["The tasker-rb authors"]
  spec.homepage = "https://github.com/tasker-rb/tasker-rb"
  spec.license = "MIT"
  spec.required_ruby_version = ">= 3.1"
  # What only the host can load stays out.
  spec.files = Dir["lib/**/*.rb", "sig/**/*.{rbs,yaml}", "LICENSE", "README.md", ".yardopts", base: __dir__].reject { |file| file.start_with?("lib/tasker/host") }
  spec.require_paths = ["lib"]
  # Libraries of CRuby that are gems in newer versions. Bundler hides those that no
  # Gemfile or gemspec names.
  %w[base64 benchmark bigdecimal logger ostruct].each { |name| spec.add_dependency(name) }
  spec.metadata = { "rubygems_mfa_required" => "true" }
end
