"""TOML -> frozen typed settings: every error at once, with its file and key, what was expected and what to do."""
