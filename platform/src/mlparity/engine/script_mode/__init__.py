"""The classic script mode of SageMaker's framework images: what their ``train`` program does, as a local program.

A job that names no command and has the hyperparameter ``sagemaker_program`` runs a user's script. Its behaviour
follows the public documentation and the observable behaviour of the SageMaker Training Toolkit 5.1
(https://github.com/aws/sagemaker-training-toolkit); the code is our own. It is started as
``python3 -m mlparity.engine.script_mode`` in the job's environment, so it uses the standard library only.
"""
