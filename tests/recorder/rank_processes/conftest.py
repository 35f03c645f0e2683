collect_ignore_glob = ["*.py"]  # programs of their own, started by the tests
