"""Old usage rows become sums per day.

What may live here: one batch of it, inside a transaction of the caller's. Hour, turn and the
caller's own name for the model are lost; the sums stay what they were.
"""

import sqlite3

from ocpd.store.epoch import DAY_MS

BATCH_ROWS = 500
"""Rows of one transaction: some milliseconds, which is what a turn's own row may have to wait."""

_OLDEST = "SELECT id FROM usage WHERE at_ms < :before ORDER BY at_ms, id LIMIT :batch"

_FOLD = f"""
    INSERT INTO usage_day
    SELECT at_ms - at_ms % :day_ms AS day_ms, COALESCE(key_id, 0) AS who, key_name, model, dialect,
        status, counted, COUNT(*), SUM(http_status = 504), SUM(input_tokens), SUM(output_tokens),
        SUM(cached_tokens), SUM(reasoning_tokens), SUM(cost_usd), SUM(total_ms), MAX(total_ms),
        SUM(prompt_chars), MAX(prompt_chars), SUM(response_chars), MIN(at_ms), MAX(at_ms)
    FROM usage WHERE id IN ({_OLDEST})
    GROUP BY day_ms, who, key_name, model, dialect, status, counted
    ON CONFLICT DO UPDATE SET
        requests = requests + excluded.requests,
        timeouts = timeouts + excluded.timeouts,
        input_tokens = input_tokens + excluded.input_tokens,
        output_tokens = output_tokens + excluded.output_tokens,
        cached_tokens = cached_tokens + excluded.cached_tokens,
        reasoning_tokens = reasoning_tokens + excluded.reasoning_tokens,
        cost_usd = cost_usd + excluded.cost_usd,
        total_ms = total_ms + excluded.total_ms,
        max_ms = MAX(max_ms, excluded.max_ms),
        prompt_chars = prompt_chars + excluded.prompt_chars,
        max_prompt_chars = MAX(max_prompt_chars, excluded.max_prompt_chars),
        response_chars = response_chars + excluded.response_chars,
        first_at_ms = MIN(first_at_ms, excluded.first_at_ms),
        last_at_ms = MAX(last_at_ms, excluded.last_at_ms)
"""  # noqa: S608 - constants

_DELETE = f"DELETE FROM usage WHERE id IN ({_OLDEST})"  # noqa: S608 - constants


def fold_batch(connection: sqlite3.Connection, before_ms: int) -> int:
    """Fold the oldest BATCH_ROWS rows of before ``before_ms``; return how many there were."""
    span = {"before": before_ms, "batch": BATCH_ROWS, "day_ms": DAY_MS}
    connection.execute(_FOLD, span)
    return connection.execute(_DELETE, span).rowcount
