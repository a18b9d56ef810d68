"""Several processes of one run: communicator, launcher, tiles and distributed passes."""
