# frozen_string_literal: true

module MoneyTransfer
  # Writes down what was moved.
  class WriteReceipt < Tasker::StepHandler::Base
    def process(task, sequence, _step)
      id = sequence.get_results("withdraw")["transfer_id"]
      body = format("%<cents>d cents from %<from>s to %<to>s", **task.context.symbolize_keys)
      receipt = Tasker.db.first("INSERT INTO receipts (transfer_id, body) VALUES ($1, $2) RETURNING id", [id, body])
      { receipt_id: receipt["id"] }
    end
  end
end
