"""campus-agent: the gateway daemon of a school's safety hardware."""

__version__ = "0.3.0"
