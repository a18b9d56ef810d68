"""The CXI file: the schema as one table, and the reader, writer, validator and inspector that are driven by it."""
