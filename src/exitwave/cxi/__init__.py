"""What a CXI file is: the schema, and reading, writing, validating and inspecting files that follow it."""
