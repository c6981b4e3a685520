"""Bad and odd input of every kind: generated, tried, fuzzed, and counted into docs/operate/reliability.md."""
