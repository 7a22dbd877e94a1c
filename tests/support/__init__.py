"""What the tests of several folders share: servers, doors, certificates, constants."""
