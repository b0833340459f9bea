"""The model server: one process that loads a model folder and answers as a vendor's container would.

``loading`` finds out what lies in the folder, ``contract`` is the seam between HTTP and the model (one module a
vendor), ``server`` is the program. ``transform`` is the program of a batch transform job, which runs servers.
All of it runs inside jobs; nothing here knows the control plane.
"""
