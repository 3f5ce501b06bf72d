# frozen_string_literal: true

module OrderFulfillment
  # Charges what the order costs. The key is the same at every attempt, so that
  # a charge whose answer was lost is not made twice.
  class ChargePayment < Tasker::StepHandler::Base
    def process(task, sequence, step)
      charge = PaymentGateway.charge(
        amount_cents: sequence.get_results("validate_order")["total_cents"],
        card_token: task.context.dig(:payment, :card_token),
        idempotency_key: "order-#{task.context[:order_id]}",
        attempt: step.attempts
      )
      log_structured(:info, "Charged the order", order_id: task.context[:order_id], cents: charge[:amount_cents])
      { charge_id: charge[:id], charged_cents: charge[:amount_cents], attempts: step.attempts }
    rescue PaymentGateway::Busy => e
      raise Tasker::RetryableError.new(e.message, context: { attempt: step.attempts, of: step.retry_limit })
    rescue PaymentGateway::Declined => e
      raise Tasker::PermanentError.new(e.message, error_code: "CARD_DECLINED")
    end
  end
end
