"""Names the file in which ``evaluate`` keeps what it measured."""

METRICS_FILE = "metrics.json"
