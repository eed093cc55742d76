"""Peers that the tests talk to: brokers, a district, broken wires."""
