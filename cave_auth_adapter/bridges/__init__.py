"""Where other libraries look for a token: cloud-volume and cloud-files, and the keyring."""
