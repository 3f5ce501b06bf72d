# frozen_string_literal: true

# Each task has a number of its own, and a note of its own.
->(n) { { n: n, note: "note of task #{n} " * (n % 7) } }
