"""Jobs and DAG runs: what computes, behind every vendor's API."""
