"""What a CXI file is: the schema as one table, and the reader, writer, validator and inspector that follow it."""
