"""The directory that ``cave-auth run`` puts on ``PYTHONPATH``.

Every program that is run can import what lies here by its bare name, so nothing else does.
"""
