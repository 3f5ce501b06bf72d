# frozen_string_literal: true

require_relative "annotations/row"
require_relative "annotations/annotation_type"
require_relative "annotations/task_annotation"
require_relative "annotations/collection"
