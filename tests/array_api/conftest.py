"""Files that import libraries which need not be there."""

collect_ignore = ["scipy_cases.py", "sklearn_cases.py"]
