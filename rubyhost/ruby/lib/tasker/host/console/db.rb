# frozen_string_literal: true

# Loaded when the console's DB is first named, because Sequel connects when it is made.
DB = Tasker::Host::Console.database
