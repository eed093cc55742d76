"""The core process: supervisor, wiring, systemd notify, reload, shutdown order."""
