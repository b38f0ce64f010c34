"""How state is read: one self-contained file for each family of environments; bundles carry them."""
