"""``braid up``: servers, deployments and automations."""
