"""The program of a batch transform job: starts model servers, feeds them files, writes their answers."""
