"""Apps of AgentField's SDK, driven unchanged. Nothing of the SDK is imported: an agent is known by what it has."""
