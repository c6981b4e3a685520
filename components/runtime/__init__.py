"""Settings of this process: device, environment variables, services."""
