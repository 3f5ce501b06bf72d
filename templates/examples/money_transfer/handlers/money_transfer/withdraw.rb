# frozen_string_literal: true

module MoneyTransfer
  # Takes the money from the payer, and notes the transfer.
  class Withdraw < Tasker::StepHandler::Base
    def process(task, _sequence, _step)
      from, to, cents = task.context.values_at(:from, :to, :cents)
      account = Tasker.db.first("SELECT cents FROM accounts WHERE name = $1 FOR UPDATE", [from])
      raise Tasker::PermanentError.new("there is no account #{from}", error_code: "NO_ACCOUNT") unless account
      raise Tasker::PermanentError.new("#{from} has #{account["cents"]} cents", error_code: "TOO_LITTLE_MONEY") if account["cents"] < cents

      Tasker.db.exec("UPDATE accounts SET cents = cents - $2 WHERE name = $1", [from, cents])
      transfer = Tasker.db.first(
        "INSERT INTO transfers (payer, payee, cents, made_at) VALUES ($1, $2, $3, $4) RETURNING id", [from, to, cents, Time.now]
      )
      { transfer_id: transfer["id"] }
    end
  end
end
