# frozen_string_literal: true

require "sequel"
require "active_record"

# One update through each library. It is the same on their own adapters as on ours.
module UpdateAdapters
  # Updates one account.
  class Sequel
    attr_reader :db

    def initialize(db)
      @db = db
    end

    def update(account)
      @db[:accounts].where(id: account).update(balance: ::Sequel[:balance] + 1)
    end
  end

  # The table of the accounts.
  class Account < ::ActiveRecord::Base
  end

  # Updates one account.
  class ActiveRecord
    def update(account)
      Account.where(id: account).update_all("balance = balance + 1")
    end
  end
end
