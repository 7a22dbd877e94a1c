"""Other people's test suites, with and without the plugin: ``make suites``."""
