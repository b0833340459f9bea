"""What Google's APIs share on the wire: descriptors, transcoding, errors, masks and page tokens.

The types and routes are those of the installed google-cloud-aiplatform. Importing it costs seconds and 100 MB, so
another process reads it once (``extract``) and everybody else reads what that wrote (``cache``, ``descriptors``).
"""
