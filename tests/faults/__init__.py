"""What can fail around a request: the network, the disk, the clock, and Ctrl-C."""
