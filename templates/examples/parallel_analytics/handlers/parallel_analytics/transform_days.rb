# frozen_string_literal: true

module ParallelAnalytics
  # Revenue by day, and the best of the days.
  class TransformDays < Tasker::StepHandler::Base
    include Sales

    def process(_task, sequence, _step)
      days = sales(sequence).group_by { |sale| sale.order["ordered_on"] }
                            .transform_values { |of_day| of_day.sum(&:revenue_cents) }
                            .sort.to_h
      best, revenue = days.max_by { |day, cents| [cents, day] }
      { days: days, best_day: best, best_day_revenue_cents: revenue }
    end
  end
end
