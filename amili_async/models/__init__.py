"""What Amili sends and takes: one module a noun, frozen structs, open enums."""
