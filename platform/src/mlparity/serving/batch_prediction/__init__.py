"""The program of a batch prediction job: starts model servers, reads instances, writes predictions and errors."""
