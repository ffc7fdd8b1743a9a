"""Values as the store keeps them: typed, validated, as text that any language can read."""
