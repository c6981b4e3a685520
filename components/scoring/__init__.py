"""Scoring a table: chunks of rows to Parquet parts, quarantine, totals, a database."""
