"""Mappings (regionalisation): control vector -> parameter maps, and the transpose for gradients."""
