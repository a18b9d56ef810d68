"""What several file formats share: reading and writing arrays, checks, positions, masks, and variants of CXI."""
