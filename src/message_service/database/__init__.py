"""The one place that owns the driver: client, capabilities, scope, error translation."""
