"""Tools of the field, unmodified, with the token only in CAVE_TOKEN: `make tools`."""
