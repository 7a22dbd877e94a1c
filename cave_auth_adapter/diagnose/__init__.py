"""What is in use here, one request explained, and what is wrong on this machine."""
