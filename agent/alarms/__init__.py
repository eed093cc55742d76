"""Samples -> events: debounce, latch, acknowledgement, escalation, supervision, and what lamps show. All pure."""
