"""One file (or folder) per protocol; each imports `agent.driver` only."""
