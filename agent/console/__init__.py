"""The console: everything that a browser reaches. A process of its own."""
