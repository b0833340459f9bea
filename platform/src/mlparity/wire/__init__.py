"""What is common to the AWS wire: service models, signatures, and which service a request is for."""
