"""Every call to MLflow."""
