# frozen_string_literal: true

module MoneyTransfer
  # Gives the money to the payee.
  class Deposit < Tasker::StepHandler::Base
    def process(task, _sequence, _step)
      to, cents = task.context.values_at(:to, :cents)
      Tasker.db.exec("UPDATE accounts SET cents = cents + $2 WHERE name = $1", [to, cents])
      nil
    end
  end
end
