"""How messages travel: kombu's Redis transport, made safe for the engine's hints."""
