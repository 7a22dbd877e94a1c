"""The directory that ``cave-auth run`` puts on ``PYTHONPATH``.

Keep other modules out of it: every program that is run could import them.
"""
