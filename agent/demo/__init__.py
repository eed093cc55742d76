"""A simulated school, to see the agent work and to test it: modules on ptys, an embedded broker, a district."""
